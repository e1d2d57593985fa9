//! What the log costs by itself: a change encoded, and groups of changes committed to a disk that takes no time.

#![allow(clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use ctsd::changelog::{ChangeRecord, Csn, Incarnation, Op, Origin, ReplicaId};
use ctsd::log::disk::{DiskFile, OpenMode};
use ctsd::log::{Disk, Group, Log, Options};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Octets of a token as it is stored.
const TOKEN: [u8; 5_120] = [0xa5; 5_120];
/// Octets of the part of a record that stays on this node.
const LOCAL: usize = 40;

/// Remembers names and lengths, and drops what is written.
#[derive(Debug, Clone, Default)]
struct Nowhere(Arc<Mutex<BTreeMap<String, u64>>>);

impl Nowhere {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Nowhere {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.files().iter().map(|(name, length)| (name.clone(), *length)).collect())
    }

    fn create_zeroed(&self, name: &str, len: u64) -> io::Result<()> {
        self.files().insert(name.to_owned(), len);
        Ok(())
    }

    fn open(&self, _: &str, _: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.clone()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let length = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), length);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn fresh_epoch(&self) -> io::Result<u32> {
        Ok(7)
    }
}

impl DiskFile for Nowhere {
    fn read_at(&self, buffer: &mut [u8], _: u64) -> io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }

    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<()> {
        black_box(bytes.len());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn record(sequence: u64, payload: &[u8]) -> ChangeRecord<'_> {
    ChangeRecord {
        origin: Origin { replica: ReplicaId::new(1).expect("not 0"), incarnation: Incarnation::ONE },
        oseq: sequence,
        csn: Csn::new(1_795_324_598_043 + sequence, 0, 1, 1),
        tag: 0,
        uuid: Some([7; 16]),
        add_csn: Some(Csn::new(1_795_324_598_043, 0, 1, 1)),
        parent: Some([8; 16]),
        txid: None,
        op: Op::Add,
        payload,
        ext: None,
    }
}

fn encoding(criterion: &mut Criterion) {
    let mut out = BytesMut::with_capacity(8 << 10);
    criterion.bench_function("record of an add of 5 KB: encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(record(1, &TOKEN)).encode(&mut out)
        });
    });
    out.clear();
    record(1, &TOKEN).encode(&mut out);
    criterion.bench_function("record of an add of 5 KB: decode", |bencher| {
        bencher.iter(|| ChangeRecord::decode(black_box(&out)).expect("decodes").payload.len());
    });
}

/// Records pushed, checksums made, one write, readers shown: all that is not the device.
fn committing(criterion: &mut Criterion) {
    let options = Options { spares: 0, reserve: 0, ..Options::new([9; 16]) };
    let mut groups = criterion.benchmark_group("commit a group of adds of 5 KB");
    for size in [1_u64, 16, 64] {
        let opened = Log::open(Arc::new(Nowhere::default()), options.clone(), &mut |_| Ok(()));
        let (_log, mut writer, _) = opened.expect("an empty log");
        let mut group = Group::new(&options);
        groups.throughput(Throughput::Elements(size));
        groups.bench_function(size.to_string(), |bencher| {
            bencher.iter(|| {
                group.clear(writer.lead());
                for sequence in (writer.next_sequence()..).take(size as usize) {
                    let pushed = group.push(
                        1,
                        sequence,
                        |out| record(sequence, &TOKEN).encode(out),
                        |out, _| out.put_bytes(3, LOCAL),
                    );
                    pushed.expect("it fits");
                }
                writer.commit(&mut group).expect("nowhere takes everything").len()
            });
        });
    }
    groups.finish();
}

criterion_group!(appending, encoding, committing);
criterion_main!(appending);
