//! What `import-ldif` and `export-ldif` share: which entries, and the instance when its server is stopped.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::process::Lock;
use super::{Failure, args};
use crate::auth::Scheme;
use crate::backend::BackendOptions;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigStore, Instance};
use crate::schema::SchemaStore;
use crate::server::data_options;
use crate::task::scheme_of;
use crate::transfer::{Choice, TransferError, Watch};

/// Which entries and attributes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What takes part")]
pub(super) struct Chosen {
    /// Only what is at or below this entry; may be given several times.
    #[arg(short = 'b', long = "includeBranch", value_name = "DN")]
    pub(super) include_branch: Vec<String>,
    /// Nothing at or below this entry; may be given several times.
    #[arg(short = 'B', long = "excludeBranch", value_name = "DN")]
    exclude_branch: Vec<String>,
    /// Only this attribute, and objectClass; may be given several times.
    #[arg(short = 'i', long = "includeAttribute", value_name = "ATTRIBUTE")]
    include_attribute: Vec<String>,
    /// Not this attribute; may be given several times.
    #[arg(short = 'e', long = "excludeAttribute", value_name = "ATTRIBUTE")]
    exclude_attribute: Vec<String>,
    /// Only entries that match this filter; may be given several times.
    #[arg(short = 'I', long = "includeFilter", value_name = "FILTER")]
    include_filter: Vec<String>,
    /// No entries that match this filter; may be given several times.
    #[arg(short = 'E', long = "excludeFilter", value_name = "FILTER")]
    exclude_filter: Vec<String>,
}

impl Chosen {
    pub(super) fn choice(&self) -> Choice {
        Choice {
            include_branches: self.include_branch.clone(),
            exclude_branches: self.exclude_branch.clone(),
            include_attributes: self.include_attribute.clone(),
            exclude_attributes: self.exclude_attribute.clone(),
            include_filters: self.include_filter.clone(),
            exclude_filters: self.exclude_filter.clone(),
        }
    }

    /// As attributes of a task, whose names are given in the order of the options.
    pub(super) fn attributes<'a>(
        &'a self,
        names: [&'a str; 6],
    ) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
        let lists = [
            &self.include_branch,
            &self.exclude_branch,
            &self.include_attribute,
            &self.exclude_attribute,
            &self.include_filter,
            &self.exclude_filter,
        ];
        names.into_iter().zip(lists).map(|(name, list)| (name, list.iter().map(String::as_str).collect()))
    }
}

/// A flag as an attribute of a task.
pub(super) fn flag(is_set: bool) -> Vec<&'static str> {
    if is_set { vec!["true"] } else { Vec::new() }
}

/// A text as an attribute of a task, if there is one.
pub(super) fn text(value: Option<&String>) -> Vec<&str> {
    value.into_iter().map(String::as_str).collect()
}

/// The server does not work in the directory that the tool was called in.
pub(super) fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path)?;
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("the name {} is not UTF-8", path.display())))
}

/// The data store of an instance whose server is stopped, and which nobody starts meanwhile.
pub(super) struct Here {
    pub(super) data: BackendOptions,
    pub(super) scheme: Option<Scheme>,
    clock: Arc<SystemClock>,
    _lock: Lock,
}

impl Here {
    pub(super) fn open(at: &args::At, backend_id: Option<&str>) -> Result<Self, Failure> {
        let instance = Instance::open(&at.instance)?;
        let lock = Lock::take(&at.instance)?;
        let clock = Arc::new(SystemClock::new());
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let schema = Arc::new(SchemaStore::open(&instance.schema_directory())?);
        let config = ConfigStore::open(&instance, Arc::clone(&schema), Arc::clone(&time))?.current();
        let data = data_options(&instance, &config, &schema, &time)?;
        let own = config.data().map(|data| data.id.clone()).unwrap_or_default();
        match backend_id {
            Some(named) if !named.eq_ignore_ascii_case(&own) => Err(Failure::new(format!(
                "there is no backend {named} to take part; the data store is {own}"
            ))),
            _ => Ok(Self { data, scheme: scheme_of(&config), clock, _lock: lock }),
        }
    }

    /// Does it, with lines on the standard error.
    pub(super) fn watched<T>(
        &self,
        quiet: bool,
        run: impl FnOnce(&mut Watch<'_>) -> Result<T, TransferError>,
    ) -> Result<T, Failure> {
        let mut say = |line: String| {
            if !quiet {
                eprintln!("{line}");
            }
        };
        Ok(run(&mut Watch { say: &mut say, stops: &|| false, clock: &*self.clock })?)
    }
}
