//! LDIF in and out while the server serves.

use std::path::PathBuf;
use std::sync::Arc;

use crate::access::Privilege;
use crate::auth::Scheme;
use crate::config::Config;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::task::class::{Class, Context, Done, Handle, Source, Work};
use crate::transfer::{Choice, ExportJob, ImportJob, TransferError, Watch};

fn refuse(text: impl Into<String>) -> LdapResult {
    LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text.into())
}

/// What clear passwords are to be encoded in.
pub(crate) fn scheme_of(config: &Config) -> Option<Scheme> {
    let policy = config.default_password_policy()?;
    policy.default_schemes.iter().find_map(|cn| Scheme::by_entry(cn))
}

/// The backend that is named has to be the data store.
fn check_backend(source: &Source<'_>, attribute: &str) -> Result<(), LdapResult> {
    let named = source.first(attribute);
    let directory = source.context.directory();
    let config = directory.map(|directory| directory.config.current());
    let own = config.as_deref().and_then(Config::data).map(|data| data.id.as_str());
    match (named, own) {
        (Some(named), Some(own)) if !named.eq_ignore_ascii_case(own) => {
            Err(refuse(format!("there is no backend {named} to take part; the data store is {own}")))
        }
        _ => Ok(()),
    }
}

fn choice(source: &Source<'_>, class: &str) -> Choice {
    let all = |name: &str| source.all(&format!("ds-task-{class}-{name}"));
    Choice {
        include_branches: all("include-branch"),
        exclude_branches: all("exclude-branch"),
        include_attributes: all("include-attribute"),
        exclude_attributes: all("exclude-attribute"),
        include_filters: all("include-filter"),
        exclude_filters: all("exclude-filter"),
    }
}

/// A path as the server takes it: below the instance directory unless absolute.
fn path(source: &Source<'_>, text: &str) -> PathBuf {
    source.context.instance.resolve(std::path::Path::new(text))
}

/// Runs with what is told going to the task's log.
fn watched<T>(
    context: &Context,
    handle: &Handle,
    run: impl FnOnce(&mut Watch<'_>) -> Result<T, TransferError>,
) -> Result<T, String> {
    let mut say = |line: String| handle.say(line);
    let stops = || handle.is_cancelled();
    let clock = Arc::clone(&context.clock);
    run(&mut Watch { say: &mut say, stops: &stops, clock: &*clock }).map_err(|error| error.to_string())
}

struct ImportWork {
    context: Arc<Context>,
    job: ImportJob,
}

/// `ImportTask`.
pub(super) fn import() -> Class {
    Class::new(&["ImportTask"], &[Privilege::LdifImport], |source| {
        for (name, why) in [
            ("ds-task-import-append", "an import replaces what is there; add entries with ldapmodify"),
            ("ds-task-import-replace-existing", "an import replaces what is there"),
            ("ds-task-import-is-encrypted", "LDIF is not encrypted"),
        ] {
            if source.flag(name)? {
                return Err(refuse(format!("{name} is not served: {why}")));
            }
        }
        check_backend(source, "ds-task-import-backend-id")?;
        let file = |name: &str| source.first(name).map(|text| path(source, &text));
        let job = ImportJob {
            files: source.all("ds-task-import-ldif-file").iter().map(|text| path(source, text)).collect(),
            template: file("ds-task-import-template-file"),
            random_seed: source.number("ds-task-import-random-seed")?.unwrap_or_default(),
            choice: choice(source, "import"),
            reject_file: file("ds-task-import-reject-file"),
            skip_file: file("ds-task-import-skip-file"),
            overwrite: source.flag("ds-task-import-overwrite-rejects")?,
            skip_schema_validation: source.flag("ds-task-import-skip-schema-validation")?,
            clear_backend: source.flag("ds-task-import-clear-backend")?,
            is_compressed: source.flag("ds-task-import-is-compressed")?,
            scheme: source.context.directory().and_then(|directory| scheme_of(&directory.config.current())),
        };
        if job.choice.include_branches.is_empty() {
            source.required("ds-task-import-backend-id")?;
        }
        job.fits(&source.context.backend.options()).map_err(|error| refuse(error.to_string()))?;
        Ok(Box::new(ImportWork { context: Arc::clone(source.context), job }))
    })
}

impl Work for ImportWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let report =
            watched(&self.context, handle, |watch| self.job.run_online(&self.context.backend, watch))?;
        Ok(if report.rejected == 0 { Done::Successfully } else { Done::WithErrors })
    }
}

struct ExportWork {
    context: Arc<Context>,
    job: ExportJob,
}

/// `ExportTask`.
pub(super) fn export() -> Class {
    Class::new(&["ExportTask"], &[Privilege::LdifExport], |source| {
        for name in ["ds-task-export-encrypt-ldif", "ds-task-export-sign-hash"] {
            if source.flag(name)? {
                return Err(refuse(format!("{name} is not served: a backup is encrypted and signed")));
            }
        }
        source.required("ds-task-export-backend-id")?;
        check_backend(source, "ds-task-export-backend-id")?;
        let with_operational = source.first("ds-task-export-include-operational-attributes").is_none()
            || source.flag("ds-task-export-include-operational-attributes")?;
        let job = ExportJob {
            file: path(source, &source.required("ds-task-export-ldif-file")?),
            append: source.flag("ds-task-export-append-to-ldif")?,
            compress: source.flag("ds-task-export-compress-ldif")?,
            wrap: source
                .number("ds-task-export-wrap-column")?
                .map_or(0, |column| usize::try_from(column).unwrap_or(usize::MAX)),
            exclude_operational: !with_operational,
            choice: choice(source, "export"),
        };
        job.fits(&source.context.backend.current(), source.schema)
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Box::new(ExportWork { context: Arc::clone(source.context), job }))
    })
}

impl Work for ExportWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let directory = self.context.directory().ok_or("the server is not put together yet")?;
        let schema = directory.schema.current();
        drop(directory);
        let store = self.context.backend.current();
        watched(&self.context, handle, |watch| self.job.run(&store, &schema, watch))?;
        Ok(Done::Successfully)
    }
}
