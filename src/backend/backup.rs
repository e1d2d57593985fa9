//! What a backup copies: the log up to a change, and the newest checkpoint. Both are held while they are copied.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::life::Life;
use super::open::Backend;
use super::purge::PurgeHold;
use super::record::Advance;
use super::view::store_error;
use super::{StoreError, dataset};
use crate::changelog::{ChangeRecord, Csn, Origin, Ruv};
use crate::log::PinnedSegment;
use crate::log::disk::DiskFile;

/// Waits for the background sync of lazy durability.
const WAITS: u32 = 50;

/// The data at one change: everything up to it and nothing after it. Nothing of it goes or changes until this is dropped;
/// the store serves and writes meanwhile.
#[derive(Debug)]
pub struct BackupSource {
    /// The identity of the data set.
    pub dataset_id: [u8; 16],
    /// What has been applied at that change.
    pub ruv: Ruv,
    /// The log sequence of the change; 0 if there is none.
    pub position: u64,
    /// The hybrid clock, milliseconds since 1970.
    pub time_ms: u64,
    /// How long changes are kept for replicas that were away.
    pub purge_delay: Duration,
    /// The log, oldest segment first.
    pub segments: Vec<PinnedSegment>,
    /// The newest checkpoint that fits the log up to the change; there is none if the trees are on disk.
    pub checkpoint: Option<CheckpointFile>,
    _hold: PurgeHold,
}

/// A checkpoint held open.
#[derive(Debug)]
pub struct CheckpointFile {
    /// Its file's name.
    pub name: String,
    /// Its octets.
    pub octets: u64,
    pub(super) file: Arc<dyn DiskFile>,
}

impl CheckpointFile {
    /// Reads up to the length of the buffer; fewer octets mean that the file ends there.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// The content of the file `dataset-id` for an identity.
pub fn dataset_file(id: [u8; 16]) -> Vec<u8> {
    dataset::encode(id)
}

/// The name of that file.
pub const DATASET_FILE: &str = dataset::NAME;

impl Backend {
    /// The data as of now, for a backup. Takes a checkpoint, so that a start from the backup is quick. Refused if the log
    /// is damaged: such a backup would pass for a whole one.
    pub fn backup_source(&self) -> Result<BackupSource, StoreError> {
        if let Some(damage) = self.recovered().damage.first() {
            return Err(StoreError::Unwilling(format!("the log is damaged: {damage}")));
        }
        let hold = self.hold_purge();
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "the backup goes on with an older checkpoint");
        }
        let view = &self.shared.view;
        let log = &view.log;
        let (applied, marks) = view.store.stand();
        self.wait_durable(applied)?;
        let origin = self.origin();
        let mut ruv = self.life().past.clone();
        let (mut place, mut position) = (marks.place, applied);
        if marks.oseq > 0 {
            ruv.advance(origin, marks.oseq, Csn::from_bytes(marks.csn));
        }
        let last = log.durable_sequence().max(applied);
        let mut records = log.records(applied + 1);
        while records.next_sequence() <= last {
            let Some(record) = records.next_record().map_err(|error| store_error(&error))? else { break };
            place = record.place.record;
            position = record.sequence.saturating_add(u64::from(record.covers)).saturating_sub(1);
            if record.envelope.is_empty() {
                continue;
            }
            if let Some(range) = Advance::decode(&record.envelope)? {
                ruv.advance(range.origin, range.last, range.csn);
            } else {
                let change = ChangeRecord::decode(&record.envelope)
                    .map_err(|error| StoreError::Corrupt(format!("change {position}: {error}")))?;
                ruv.advance(change.origin, change.oseq, change.csn);
            }
        }
        let segments = if position == 0 { Vec::new() } else { log.pin(place) };
        let checkpoint = match &self.checkpoints {
            Some(checkpoints) => checkpoints.newest(position)?,
            None => None,
        };
        let (time_ms, purge_delay) = self.upkeep().purger.clock();
        let dataset_id = self.dataset_id();
        let source = BackupSource {
            dataset_id,
            ruv,
            position,
            time_ms,
            purge_delay,
            segments,
            checkpoint,
            _hold: hold,
        };
        Ok(source)
    }

    /// Which life of the data set this is.
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// What has been applied.
    pub fn ruv(&self) -> Ruv {
        let mut ruv = self.life().past.clone();
        let (_, marks) = self.shared.view.store.stand();
        if marks.oseq > 0 {
            ruv.advance(self.origin(), marks.oseq, Csn::from_bytes(marks.csn));
        }
        ruv
    }

    fn origin(&self) -> Origin {
        Origin { replica: self.replica, incarnation: self.life().incarnation }
    }

    /// Under lazy durability the view may be ahead of what is on disk.
    fn wait_durable(&self, sequence: u64) -> Result<(), StoreError> {
        let log = &self.shared.view.log;
        for _ in 0..WAITS {
            if log.durable_sequence() >= sequence {
                return Ok(());
            }
            if let Some(reason) = self.unwilling() {
                return Err(reason);
            }
            std::thread::park_timeout(log.options().sync_interval.max(Duration::from_millis(1)));
        }
        Err(StoreError::Io("the log's background sync does not come".to_owned()))
    }
}
