//! Opening a log: what is there, what was torn, what is lost.
//!
//! Records are taken in order as long as checksums, epochs and dense sequences hold. Where they do not, something was
//! either never finished (a torn tail: cut it and go on) or has been damaged (keep it all, replay what can be read,
//! write nothing). A single valid record further on does not tell the two apart, since the blocks of an unfinished
//! group may have reached the disk in any subset. So each record says how far the log was durable when it was
//! written: it is damage exactly if a record or segment header further on, anywhere in the log, proves that what is
//! missing here was durable once.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::background::{Spare, Spares};
use super::compacted::{Compacted, PREFIX, Prefix};
use super::disk::{Disk, OpenMode};
use super::format::{BLOCK, HeaderBlock, RecordHeader};
use super::mend::{Good, count, mend, remove};
use super::reader::record_place;
use super::scan::{Found, Run, Scan};
use super::segment::{Halt, Log, Segment, Shared, file_name, file_number};
use super::writer::{Writer, begin};
use super::{LogError, Options, RecordPlace};

/// What a replay callback may fail with.
pub type ReplayError = Box<dyn std::error::Error + Send + Sync>;

/// A record that is replayed.
#[derive(Debug, Clone, Copy)]
pub struct ReplayRecord<'a> {
    /// Where it is.
    pub place: RecordPlace,
    /// Its kind.
    pub kind: u8,
    /// Its sequence.
    pub sequence: u64,
    /// How many sequences it stands for, from its own on; 1 but for what compaction put in the place of others.
    pub covers: u32,
    /// What replication ships.
    pub envelope: &'a [u8],
    /// What stays on this node.
    pub local: &'a [u8],
}

/// An unfinished tail that was cut off. Nothing in it was ever said to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment it was in.
    pub segment: u32,
    /// Where the log ends now.
    pub offset: u32,
    /// The sequence that the next record will have.
    pub sequence: u64,
    /// Octets in that segment that were dropped.
    pub octets: u64,
    /// Whole records among what was dropped, here and in later segments.
    pub records: u64,
}

/// A place where durable records are missing or a file is unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// Where in it reading stopped, or could go on.
    pub offset: u32,
    /// Sequences of the records that are lost; empty if none is, 0 to 0 if it is not known which.
    pub lost: RangeInclusive<u64>,
    /// What is wrong.
    pub what: &'static str,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {} at {}", self.what, file_name(self.segment), self.offset)?;
        match (self.lost.start(), self.lost.end()) {
            _ if self.lost.is_empty() => write!(f, ", no record is lost"),
            (0, 0) => write!(f, ", which changes are lost is not known"),
            (first, last) if first == last => write!(f, ", change {first} is lost"),
            (first, last) => write!(f, ", changes {first} to {last} are lost"),
        }
    }
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// The first sequence in the log.
    pub first_sequence: u64,
    /// The last sequence in the log; one before the first if it is empty.
    pub last_sequence: u64,
    /// Records given to the replay.
    pub records: u64,
    /// Octets read and verified.
    pub octets: u64,
    /// Segments in the log.
    pub segments: u64,
    /// The torn tail that was cut.
    pub cut: Option<Cut>,
    /// Damage; if there is any, the log is read-only and its files are left as they are.
    pub damage: Vec<Damage>,
}

type Replay<'a> = &'a mut dyn FnMut(ReplayRecord<'_>) -> Result<(), ReplayError>;

impl Log {
    /// Opens the log in a directory, or begins one, and replays its records in order.
    ///
    /// An unfinished tail is cut and told in [`Recovered::cut`]. If acknowledged records are missing, the rest is
    /// replayed all the same, the log is read-only ([`LogError::ReadOnly`] at each commit) and
    /// [`Recovered::damage`] says what is lost. Files of another data set or format version are refused untouched,
    /// and so is everything if the callback fails.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        replay: &mut dyn FnMut(ReplayRecord<'_>) -> Result<(), ReplayError>,
    ) -> Result<(Self, Writer, Recovered), LogError> {
        options.check()?;
        let mut unused = VecDeque::new();
        let mut found = Vec::new();
        let mut files: Vec<(u32, u64)> = Vec::new();
        for (name, len) in disk.list().map_err(LogError::io("list", "the log's directory"))? {
            if let Some(number) = file_number(&name) {
                files.push((number, len));
            }
        }
        super::purge::clean(&*disk)?;
        files.sort_unstable();
        let next_number = files.last().map_or(1, |&(number, _)| number + 1);
        for (number, len) in files {
            let file = Found::look(&*disk, &options, number, len)?;
            if file.is_unused { unused.push_back(file) } else { found.push(file) }
        }
        let mut recovery = Recovery {
            disk: &*disk,
            options: &options,
            found: &found,
            expected: None,
            good: None,
            segments: Vec::new(),
            stops: false,
            recovered: Recovered::default(),
        };
        recovery.run(replay)?;
        let Recovery { expected, good, segments, mut recovered, .. } = recovery;
        let next = expected.unwrap_or(options.first_sequence);
        recovered.last_sequence = next - 1;
        let shared = Arc::new(Shared::new(Arc::clone(&disk), options, next - 1));
        shared.segments.store(Arc::new(segments));
        let mut active = None;
        if let Some(damage) = recovered.damage.first() {
            let more = recovered.damage.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            let _ = shared.halt.set(Halt::ReadOnly(format!("{damage}{more}").into()));
        } else if let Some(good) = good.filter(|good| good.segment.compacted.is_none()) {
            active = Some(mend(&shared, &found, &good, next, &mut recovered)?);
        } else if shared.segments.load().is_empty() {
            remove(&*disk, &found)?;
        }
        let after = active.as_ref().map_or(0, |active| active.segment.number);
        let is_spare =
            |file: &Found| file.number > after && file.len == u64::from(shared.options.segment_size);
        // What an earlier use may have left in them is not looked for.
        let spare = |file: &Found| Spare { number: file.number, is_clean: false };
        let ready = unused.iter().filter(|file| is_spare(file)).map(spare).collect();
        let spares = Spares::new(Arc::clone(&shared), ready, next_number);
        if active.is_none() && shared.halt.get().is_none() {
            active = Some(begin(
                &shared,
                shared.durability(),
                spares.take(true)?,
                next,
                crate::changelog::Csn::ZERO,
            )?);
        }
        let log = Self { shared: Arc::clone(&shared) };
        recovered.first_sequence = log.first_sequence();
        recovered.segments = shared.segments.load().len() as u64;
        let writer = Writer::new(shared, spares, active, next);
        Ok((log, writer, recovered))
    }
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    options: &'a Options,
    found: &'a [Found],
    expected: Option<u64>,
    good: Option<Good>,
    segments: Vec<Arc<Segment>>,
    /// A cut was decided: nothing further on counts.
    stops: bool,
    recovered: Recovered,
}

/// What to do with records that do not follow the one before.
enum Judgement {
    Take,
    Skip,
    Cut,
}

impl Recovery<'_> {
    fn run(&mut self, replay: Replay<'_>) -> Result<(), LogError> {
        let (disk, found, ahead) = (self.disk, self.found, self.options.recovery_threads);
        std::thread::scope(|scope| {
            let mut started = VecDeque::new();
            let before: Vec<bool> = (0..found.len()).map(|index| self.is_before(index)).collect();
            let mut waiting = found.iter().zip(before).enumerate();
            loop {
                while started.len() <= ahead {
                    let Some((index, (file, is_before))) = waiting.next() else { break };
                    let scan = (!is_before && ahead > 0).then(|| scope.spawn(move || file.scan(disk)));
                    started.push_back((index, file, is_before, scan));
                }
                let Some((index, file, is_before, scan)) = started.pop_front() else { return Ok(()) };
                if self.stops {
                    continue; // the rest only has to end
                }
                if is_before {
                    self.pass(index, file)?;
                    continue;
                }
                let scan = match scan.map(std::thread::ScopedJoinHandle::join) {
                    Some(Ok(scan)) => scan?,
                    Some(Err(_)) | None => file.scan(disk)?,
                };
                self.take(index, file, scan, replay)?;
            }
        })
    }

    /// Whether a segment lies wholly before what is to be replayed.
    fn is_before(&self, index: usize) -> bool {
        let is_readable = self.found.get(index).is_some_and(|file| file.first_sequence().is_some());
        let following = self.found.get(index + 1).and_then(Found::first_sequence);
        is_readable && following.is_some_and(|first| first <= self.options.replay_from)
    }

    /// Goes over a segment without reading it.
    fn pass(&mut self, index: usize, file: &Found) -> Result<(), LogError> {
        if let HeaderBlock::Valid(header) = &file.header {
            let scan = Scan { data: Vec::new(), runs: Vec::new() };
            if let Judgement::Take = self.judge(index, file, &scan, 0, header.first_sequence, BLOCK)? {
                let end = u32::try_from(file.len).unwrap_or(u32::MAX);
                let end = file.summary.map_or(end, |summary| summary.end);
                self.open_segment(file, header.epoch, header.first_sequence, end)?;
            }
            self.expected = self.found.get(index + 1).and_then(Found::first_sequence);
        }
        Ok(())
    }

    /// Takes the records of one segment.
    fn take(&mut self, index: usize, file: &Found, scan: Scan, replay: Replay<'_>) -> Result<(), LogError> {
        self.recovered.octets += scan.data.len() as u64;
        let mut opened: Option<Arc<Segment>> = None;
        let (mut end, mut discarded) = (BLOCK, 0);
        if let HeaderBlock::Valid(header) = &file.header {
            match self.judge(index, file, &scan, 0, header.first_sequence, BLOCK)? {
                Judgement::Take => {
                    let open = self.open_segment(file, header.epoch, header.first_sequence, BLOCK as u32)?;
                    opened = Some(open);
                }
                Judgement::Skip | Judgement::Cut => return Ok(()),
            }
        }
        for (number, run) in scan.runs.iter().enumerate() {
            match self.judge(index, file, &scan, number, run.first, end)? {
                Judgement::Take => {}
                Judgement::Skip => continue,
                Judgement::Cut => {
                    discarded = count(scan.runs.get(number..).unwrap_or_default());
                    break;
                }
            }
            let segment = match &opened {
                Some(segment) => Arc::clone(segment),
                None => {
                    // A header is durable before the first record is written.
                    let what = "the header is unreadable";
                    self.damage(file.number, 0, run.first, run.first, what);
                    opened.insert(self.open_segment(file, run.epoch, run.first, BLOCK as u32)?).clone()
                }
            };
            self.deliver(&segment, &scan.data, run, replay)?;
            end = run.end;
            segment.set_end(u32::try_from(end).unwrap_or(u32::MAX));
        }
        if let Some(segment) = opened {
            self.good = Some(Good { index, end, segment, data: scan.data, discarded });
        }
        Ok(())
    }

    /// Whether records that start with `first` go on where the log was. `run` is their run in the scan.
    fn judge(
        &mut self,
        index: usize,
        file: &Found,
        scan: &Scan,
        run: usize,
        first: u64,
        at: usize,
    ) -> Result<Judgement, LogError> {
        let Some(expected) = self.expected else {
            self.expected = Some(first);
            return Ok(Judgement::Take);
        };
        let offset = u32::try_from(at).unwrap_or(u32::MAX);
        if first == expected {
            return Ok(Judgement::Take);
        }
        if first < expected {
            // An unreadable file may hold what an earlier use left there.
            if file.first_sequence().is_some() {
                let what = "records are there a second time";
                self.damage(file.number, offset, first, first, what);
            }
            return Ok(Judgement::Skip);
        }
        if self.proven(index, file, scan, run)? >= expected {
            self.damage(file.number, offset, expected, first, "records are unreadable or missing");
            self.expected = Some(first);
            return Ok(Judgement::Take);
        }
        self.stops = true;
        Ok(Judgement::Cut)
    }

    fn damage(&mut self, segment: u32, offset: u32, from: u64, to: u64, what: &'static str) {
        // One past the last is always at least 1, so this is empty exactly if `from` is `to`.
        let lost = from..=to - 1;
        self.recovered.damage.push(Damage { segment, offset, lost, what });
    }

    /// The greatest sequence that anything from here on proves to have been durable.
    fn proven(&self, index: usize, file: &Found, scan: &Scan, run: usize) -> Result<u64, LogError> {
        let claims = |runs: &[Run]| runs.iter().map(|run| run.durable_claim).max().unwrap_or(0);
        let by_header = |file: &Found| file.first_sequence().map_or(0, |first| first - 1);
        let mut proven = by_header(file).max(claims(scan.runs.get(run..).unwrap_or_default()));
        for later in self.found.iter().skip(index + 1) {
            proven = proven.max(by_header(later));
            if self.expected.is_some_and(|expected| proven >= expected) {
                break;
            }
            proven = proven.max(claims(&later.scan(self.disk)?.runs));
        }
        Ok(proven)
    }

    fn open_segment(
        &mut self,
        file: &Found,
        epoch: u32,
        first_sequence: u64,
        end: u32,
    ) -> Result<Arc<Segment>, LogError> {
        let name = file_name(file.number);
        let reader = self.disk.open(&name, OpenMode::Read).map_err(LogError::io("open", name))?;
        let (size, csn) = match &file.header {
            HeaderBlock::Valid(header) => (header.size, header.csn),
            _ => (self.options.segment_size, crate::changelog::Csn::ZERO),
        };
        let compacted = match &file.summary {
            Some(summary) => {
                let loaded = Compacted::load(file.number, &*reader, summary)?;
                if loaded.is_none() {
                    let what = "the table of a compacted segment is unreadable";
                    self.damage(file.number, summary.end, first_sequence, first_sequence, what);
                }
                Some(loaded.unwrap_or_default())
            }
            None => None,
        };
        let mut segment = Segment::new(file.number, epoch, size, first_sequence, csn, reader, end);
        if let Some(compacted) = compacted {
            segment = segment.compacted(compacted);
        }
        let segment = Arc::new(segment);
        self.segments.push(Arc::clone(&segment));
        Ok(segment)
    }

    fn deliver(
        &mut self,
        segment: &Segment,
        data: &[u8],
        run: &Run,
        replay: Replay<'_>,
    ) -> Result<(), LogError> {
        for &offset in &run.offsets {
            let bytes = data.get(offset as usize..).unwrap_or_default();
            let gone =
                || LogError::Damaged { segment: segment.number, offset, what: "a verified record is gone" };
            let (at, is_first) = (offset, run.offsets.first() == Some(&offset));
            let (prefix, bytes) = match &segment.compacted {
                Some(_) => (Prefix::parse(bytes).ok_or_else(gone)?, bytes.get(PREFIX..).unwrap_or_default()),
                None => (Prefix { offset, covers: 1 }, bytes),
            };
            let header = RecordHeader::unverified(bytes).ok_or_else(gone)?;
            segment.note(header.sequence, at, is_first);
            let (offset, covers) = (prefix.offset, prefix.covers);
            let behind = header.sequence.saturating_add(u64::from(covers));
            self.expected = Some(behind);
            if behind <= self.options.replay_from {
                continue;
            }
            let place = record_place(segment.number, offset, header.len, header.envelope);
            let part = |part: super::Place| {
                let at = (part.offset - offset) as usize;
                bytes.get(at..at + part.len as usize).unwrap_or_default()
            };
            let (envelope, local) = (part(place.envelope), part(place.local));
            let sequence = header.sequence;
            let record = ReplayRecord { place, kind: header.kind, sequence, covers, envelope, local };
            replay(record).map_err(|source| LogError::Replay { sequence, source })?;
            self.recovered.records += 1;
        }
        Ok(())
    }
}
