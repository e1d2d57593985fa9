//! The keys of one tree, gathered in no order and given back sorted.

use super::super::checkpoint::Source;

/// Octets of a run at the most, so that places in it fit four octets.
const RUN: usize = 1 << 30;

/// A key's place in its run, with its first octets, by which most comparisons are decided.
#[derive(Debug, Clone, Copy)]
struct Item {
    head: u64,
    at: u32,
    len: u16,
}

/// Keys one after another, each followed by its value.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// The next item to be given.
    next: usize,
}

impl Run {
    fn key(&self, item: &Item) -> &[u8] {
        let at = item.at as usize;
        self.bytes.get(at..at + usize::from(item.len)).unwrap_or_default()
    }

    fn sort(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| self.key(a).cmp(self.key(b))));
        self.items = items;
    }

    fn first(&self) -> Option<&[u8]> {
        self.items.get(self.next).map(|item| self.key(item))
    }
}

/// The keys of a tree.
#[derive(Debug)]
pub(super) struct Runs {
    name: String,
    /// Octets of each value.
    value: usize,
    runs: Vec<Run>,
}

impl Runs {
    pub(super) fn new(name: String, value: usize) -> Self {
        Self { name, value, runs: Vec::new() }
    }

    /// Takes a key, in parts; values are all of one length. Keys are of 65,535 octets at the most.
    pub(super) fn push(&mut self, key: &[&[u8]], value: &[u8]) {
        let length: usize = key.iter().map(|part| part.len()).sum();
        if self.runs.last().is_none_or(|run| run.bytes.len() + length + value.len() > RUN) {
            self.runs.push(Run::default());
        }
        let (Some(run), Ok(len)) = (self.runs.last_mut(), u16::try_from(length)) else { return };
        let start = run.bytes.len();
        key.iter().for_each(|part| run.bytes.extend_from_slice(part));
        let mut head = [0; 8];
        let octets = run.bytes.get(start..).unwrap_or_default();
        head.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        run.bytes.extend_from_slice(value);
        let at = u32::try_from(start).unwrap_or(u32::MAX);
        run.items.push(Item { head: u64::from_be_bytes(head), at, len });
    }

    /// Octets of all keys.
    pub(super) fn octets(&self) -> usize {
        self.runs.iter().map(|run| run.bytes.len()).sum()
    }
}

impl Source for Runs {
    fn name(&self) -> &str {
        &self.name
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.runs.iter_mut().for_each(Run::sort);
        let mut last: Vec<u8> = Vec::new();
        let mut is_first = true;
        loop {
            let firsts = self.runs.iter().enumerate().filter_map(|(at, run)| Some((run.first()?, at)));
            let Some((_, at)) = firsts.min() else { return };
            let Some(run) = self.runs.get_mut(at) else { return };
            let Some(item) = run.items.get(run.next).copied() else { return };
            run.next += 1;
            let key = run.key(&item);
            // The same value twice in an entry, or the same part of one.
            if !is_first && key == last {
                continue;
            }
            let end = item.at as usize + key.len();
            if !visit(key, run.bytes.get(end..end + self.value).unwrap_or_default()) {
                return;
            }
            is_first = false;
            last.clear();
            last.extend_from_slice(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_come_back_sorted_and_once(
            keys in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..14), 0..200),
        ) {
            let mut runs = Runs::new("t".into(), 2);
            for (number, key) in keys.iter().enumerate() {
                if number % 50 == 49 {
                    runs.runs.push(Run::default());
                }
                runs.push(&[key], &[key.len() as u8, 7]);
            }
            let mut found = Vec::new();
            runs.visit(&mut |key, value| {
                assert_eq!(value, [key.len() as u8, 7]);
                found.push(key.to_vec());
                true
            });
            let wanted: Vec<_> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
