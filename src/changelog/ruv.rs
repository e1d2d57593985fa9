//! The state vector: from each origin, up to which change everything has been applied.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{ChangelogError, Csn, Origin};

/// How far one origin has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuvItem {
    /// Every change up to this sequence of the origin has been applied.
    pub oseq: u64,
    /// The CSN of that change.
    pub csn: Csn,
}

/// Origin → (oseq, CSN): a complete prefix of each origin's changes. Text: `origin:oseq:csn` items in the order of
/// origins, separated by one space, as in `1.1:42:0123456789ab0c0d00010001`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruv(BTreeMap<Origin, RuvItem>);

impl Ruv {
    /// A vector that has seen nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How far an origin has been applied.
    pub fn get(&self, origin: Origin) -> Option<RuvItem> {
        self.0.get(&origin).copied()
    }

    /// The sequence up to which an origin has been applied; 0 if it is unknown.
    pub fn oseq(&self, origin: Origin) -> u64 {
        self.get(origin).map_or(0, |item| item.oseq)
    }

    /// Moves an origin forward. An older sequence changes nothing: a vector never goes back.
    pub fn advance(&mut self, origin: Origin, oseq: u64, csn: Csn) {
        let item = self.0.entry(origin).or_insert(RuvItem { oseq, csn });
        if oseq > item.oseq {
            *item = RuvItem { oseq, csn };
        }
    }

    /// Whether a change has been applied already.
    pub fn covers(&self, origin: Origin, oseq: u64) -> bool {
        oseq <= self.oseq(origin)
    }

    /// Whether everything the other vector has seen has been applied here too.
    pub fn dominates(&self, other: &Self) -> bool {
        other.iter().all(|(origin, item)| self.covers(origin, item.oseq))
    }

    /// The newest CSN of any origin.
    pub fn newest(&self) -> Option<Csn> {
        self.0.values().map(|item| item.csn).max()
    }

    /// All items in the order of their origins.
    pub fn iter(&self) -> impl Iterator<Item = (Origin, RuvItem)> + '_ {
        self.0.iter().map(|(&origin, &item)| (origin, item))
    }

    /// The number of origins.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no origin is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Ruv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (origin, item)) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{origin}:{}:{}", item.oseq, item.csn)?;
        }
        Ok(())
    }
}

impl FromStr for Ruv {
    type Err = ChangelogError;

    fn from_str(text: &str) -> Result<Self, ChangelogError> {
        let mut ruv = Self::new();
        for item in text.split_ascii_whitespace() {
            let mut parts = item.split(':');
            let (Some(origin), Some(oseq), Some(csn), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(ChangelogError::Ruv("an item has three parts, origin:oseq:csn"));
            };
            let oseq = oseq.parse().map_err(|_| ChangelogError::Ruv("an oseq is a number"))?;
            let value = RuvItem { oseq, csn: csn.parse()? };
            if ruv.0.insert(origin.parse()?, value).is_some() {
                return Err(ChangelogError::Ruv("an origin is given twice"));
            }
        }
        Ok(ruv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(replica: u16) -> Origin {
        Csn::new(0, 0, replica, 1).origin().unwrap()
    }

    #[test]
    fn it_only_moves_forward() {
        let mut ruv = Ruv::new();
        ruv.advance(origin(1), 5, Csn::new(50, 0, 1, 1));
        ruv.advance(origin(1), 4, Csn::new(90, 0, 1, 1));
        assert_eq!(ruv.get(origin(1)), Some(RuvItem { oseq: 5, csn: Csn::new(50, 0, 1, 1) }));
        assert!(ruv.covers(origin(1), 5) && !ruv.covers(origin(1), 6) && !ruv.covers(origin(2), 1));
        let mut wider = ruv.clone();
        wider.advance(origin(2), 1, Csn::new(60, 0, 2, 1));
        assert!(wider.dominates(&ruv) && !ruv.dominates(&wider));
        assert_eq!(wider.newest(), Some(Csn::new(60, 0, 2, 1)));
    }

    #[test]
    fn text_refuses_what_it_cannot_mean() {
        let csn = Csn::new(1, 0, 1, 1);
        for wrong in [
            "1.1".to_owned(),
            format!("1.1:x:{csn}"),
            format!("1.1:1:{csn}:1"),
            format!("1.1:1:{csn} 1.1:2:{csn}"),
            "1.1:1:00".to_owned(),
        ] {
            assert!(wrong.parse::<Ruv>().is_err(), "{wrong}");
        }
        assert_eq!("".parse(), Ok(Ruv::new()));
    }

    proptest! {
        #[test]
        fn text_round_trip(items in proptest::collection::vec((1_u16.., any::<u64>(), any::<u32>()), 0..8)) {
            let mut ruv = Ruv::new();
            for (replica, oseq, ms) in items {
                ruv.advance(origin(replica), oseq, Csn::new(u64::from(ms), 0, replica, 1));
            }
            prop_assert_eq!(ruv.to_string().parse(), Ok(ruv));
        }
    }
}
