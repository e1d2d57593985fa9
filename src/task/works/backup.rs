//! Backups made and restored while the server serves.

use std::path::PathBuf;
use std::sync::Arc;

use crate::access::Privilege;
use crate::backup::{BackupError, Options, Order, Site, Watch, default_id};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::task::class::{Class, Context, Done, Handle, Work};

/// Lines and progress go to the task's log; the work ends when the task is to end.
pub(crate) struct Following<'a>(pub(crate) &'a Handle);

impl Watch for Following<'_> {
    fn say(&self, line: String) {
        self.0.say(line);
    }

    fn progress(&self, what: &str, done: u64, total: u64) {
        self.0.progress(what, done, total);
    }

    fn goes_on(&self) -> bool {
        !self.0.is_cancelled()
    }
}

/// Does something with the server's instance.
fn with_site<T>(
    context: &Context,
    work: impl FnOnce(&Site<'_>) -> Result<T, BackupError>,
) -> Result<T, BackupError> {
    let gone = || BackupError::Refused("the server is not ready".to_owned());
    let directory = context.directory().ok_or_else(gone)?;
    let (config, schema) = (directory.config.current(), directory.schema.current());
    work(&Site {
        instance: &context.instance,
        config: Some(&config),
        schema: &schema,
        now_ms: context.clock.wall_ms(),
    })
}

struct BackupWork {
    context: Arc<Context>,
    order: Order,
}

/// `BackupTask`.
pub(super) fn backup() -> Class {
    Class::new(&["BackupTask"], &[Privilege::BackendBackup], |source| {
        let backends = source.all("ds-task-backup-backend-id");
        let is_all = source.flag("ds-task-backup-all")?;
        if is_all != backends.is_empty() {
            let text =
                "a backup task needs either ds-task-backup-backend-id, or ds-task-backup-all with true";
            return Err(LdapResult::new(ResultCode::OBJECT_CLASS_VIOLATION, text));
        }
        let base = source.first("ds-task-backup-incremental-base-id");
        let is_incremental = source.flag("ds-task-backup-incremental")?;
        if base.is_some() && !is_incremental {
            let text = "ds-task-backup-incremental-base-id goes with ds-task-backup-incremental: true";
            return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        // Every backup is hashed.
        source.flag("ds-task-backup-hash")?;
        let order = Order {
            backends,
            directory: PathBuf::from(source.required("ds-backup-directory-path")?),
            options: Options {
                id: source.first("ds-backup-id").unwrap_or_default(),
                is_incremental,
                base,
                compresses: source.flag("ds-task-backup-compress")?,
                encrypts: source.flag("ds-task-backup-encrypt")?,
                signs: source.flag("ds-task-backup-sign-hash")?,
            },
        };
        if source.context.directory().is_some() {
            with_site(source.context, |site| site.chosen(&order))
                .map_err(|error| LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, error.to_string()))?;
        }
        Ok(Box::new(BackupWork { context: Arc::clone(source.context), order }))
    })
}

impl Work for BackupWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let Self { context, mut order } = *self;
        if order.options.id.is_empty() {
            order.options.id = default_id(context.clock.wall_ms());
        }
        let store = context.backend.current();
        with_site(&context, |site| site.back_up(&order, Some(&store), &Following(handle)))
            .map_err(|error| error.to_string())?;
        Ok(Done::Successfully)
    }
}

struct RestoreWork {
    context: Arc<Context>,
    directory: PathBuf,
    id: Option<String>,
    verifies_only: bool,
}

/// `RestoreTask`.
pub(super) fn restore() -> Class {
    Class::new(&["RestoreTask"], &[Privilege::BackendRestore], |source| {
        Ok(Box::new(RestoreWork {
            context: Arc::clone(source.context),
            directory: PathBuf::from(source.required("ds-backup-directory-path")?),
            id: source.first("ds-backup-id"),
            verifies_only: source.flag("ds-task-restore-verify-only")?,
        }))
    })
}

impl Work for RestoreWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let watch = Following(handle);
        let restored = with_site(&self.context, |site| {
            let archive = site.archive(&self.directory, self.id.as_deref(), None)?;
            if self.verifies_only {
                return site.verify(&archive, &watch);
            }
            site.restore_online(&archive, &self.context.backend, &watch)
        });
        restored.map_err(|error| error.to_string())?;
        Ok(Done::Successfully)
    }
}
