//! How many entries have each value of an attribute, told by its index alone.

use super::index::key::{Form, LONGEST, START, after, split};
use super::index_store::Visit;
use super::view::View;

/// Of an attribute with more values than this nothing is told: it is no kind of thing that people count by.
const MOST_VALUES: usize = 64;

/// A compare key without its end, as text; of one with a digest what stands before it.
fn shown(form: Form, key: &[u8]) -> String {
    let key = key.strip_suffix(&[0, 0]).unwrap_or(key);
    match key.get(..START) {
        Some(start) if form == Form::Digest && key.len() >= LONGEST => {
            format!("{}…", String::from_utf8_lossy(start))
        }
        _ => String::from_utf8_lossy(key).into_owned(),
    }
}

impl View {
    /// The values, as the index compares them, with the number of entries that have each. None without an index of values
    /// that is built, or if there are too many of them.
    pub(crate) fn value_counts(&self, attribute: &str) -> Option<Vec<(String, u64)>> {
        let indexes = self.indexes.load();
        let index = indexes.of(attribute).find(|one| one.rule().is_some() && one.progress.is_ready())?;
        let mut counts = Vec::new();
        let mut from = Vec::new();
        loop {
            let mut first = None;
            let visit = &mut |key: &[u8], _: &[u8]| {
                first = split(key).map(|(start, _)| start.to_vec());
                Visit::Stop
            };
            self.store.range(index.tree, &from, None, visit).ok()?;
            let Some(value) = first else { return Some(counts) };
            if counts.len() == MOST_VALUES {
                return None;
            }
            let end = after(&value);
            let found = self.store.estimate(index.tree, &value, end.as_deref(), u64::MAX).ok()?;
            counts.push((shown(index.form(), &value), found.keys));
            match end {
                Some(end) => from = end,
                None => return Some(counts),
            }
        }
    }
}
