//! How the data store is opened, from the configuration.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::ServerError;
use crate::admin::indexes_of;
use crate::backend::BackendOptions;
use crate::clock::Clock;
use crate::config::{Config, Instance};
use crate::log::Durability;
use crate::schema::SchemaStore;

/// Octets of entries kept in memory, at the least and at the most, where the configuration sets none
/// (`ds-cfg-db-cache-size`). What is not here is one read of the log away.
const CACHE: std::ops::RangeInclusive<u64> = 64 << 20..=560 << 20;

/// What the configuration says of the data store; an error if it has none.
pub fn data_options(
    instance: &Instance,
    config: &Config,
    schema: &Arc<SchemaStore>,
    clock: &Arc<dyn Clock>,
) -> Result<BackendOptions, ServerError> {
    let data =
        config.data().ok_or(ServerError::Lacking("no data store is enabled in cn=Backends,cn=config"))?;
    Ok(BackendOptions {
        suffixes: data.base_dns.iter().map(|(text, _)| text.clone()).collect(),
        indexes: indexes_of(config),
        durability: match data.durability {
            crate::config::Durability::Always => Durability::Always,
            crate::config::Durability::Group => Durability::Group,
            crate::config::Durability::Os => Durability::Os,
        },
        index_store: data.index_store,
        segment_bytes: data.segment_size,
        queue_capacity: config.administration.work_queue_capacity,
        checkpoint_bytes: data.checkpoint_interval,
        cache_bytes: cache_octets(data.cache_size, data.cache_percent, machine_octets()),
        ..BackendOptions::new(
            instance.resolve(&data.directory),
            Vec::new(),
            Arc::clone(clock),
            Arc::clone(schema),
        )
    })
}

/// Gives the data's directory the mode that the configuration says.
pub(super) fn set_permissions(instance: &Instance, config: &Config) {
    let Some(data) = config.data() else { return };
    let (directory, mode) = (instance.resolve(&data.directory), data.directory_permissions);
    if let Err(error) = std::fs::set_permissions(&directory, Permissions::from_mode(mode)) {
        tracing::warn!(%error, directory = %directory.display(), "ds-cfg-db-directory-permissions cannot be set");
    }
}

/// Octets of entries to keep: as configured, or the percentage (`ds-cfg-db-cache-percent`) of a quarter of the machine's
/// memory, which is what the reference's JVM takes for its heap, within [`CACHE`].
fn cache_octets(configured: u64, percent: u8, machine: Option<u64>) -> usize {
    let octets = match (configured, machine) {
        (0, Some(machine)) => (machine / 400 * u64::from(percent)).clamp(*CACHE.start(), *CACHE.end()),
        (0, None) => *CACHE.end(),
        (configured, _) => configured,
    };
    usize::try_from(octets).unwrap_or(usize::MAX)
}

/// The machine's memory, as far as it is known.
fn machine_octets() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_configuration_and_then_the_machine() {
        assert_eq!(cache_octets(1 << 20, 50, Some(1 << 40)), 1 << 20);
        assert_eq!(cache_octets(0, 50, Some(2 << 30)) >> 20, 255);
        assert_eq!(cache_octets(0, 10, Some(4 << 30)) >> 20, 102);
        assert_eq!(cache_octets(0, 50, Some(1 << 40)), 560 << 20);
        assert_eq!(cache_octets(0, 50, Some(64 << 20)), 64 << 20);
        assert_eq!(cache_octets(0, 50, None), 560 << 20);
    }
}
