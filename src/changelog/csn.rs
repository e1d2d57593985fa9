//! Change sequence numbers and the hybrid logical clock that makes them.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use super::ChangelogError;

/// The greatest number of milliseconds a [`Csn`] holds (48 bits).
const MAX_MS: u64 = 0xffff_ffff_ffff;

/// Which server of the domain: 1 to 65535 (`ds-cfg-server-id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(NonZeroU16);

/// Which life of a replica's log, from 1. It rises whenever acknowledged changes may have been lost, so that an
/// (origin, sequence) pair is never issued twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(NonZeroU16);

macro_rules! numbered {
    ($name:ident) => {
        impl $name {
            /// The first one.
            pub const ONE: Self = Self(NonZeroU16::MIN);

            /// From a number; zero is none.
            pub const fn new(number: u16) -> Option<Self> {
                match NonZeroU16::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number.
            pub const fn get(self) -> u16 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numbered!(ReplicaId);
numbered!(Incarnation);

/// Where changes come from: one life of one replica. Sequences are dense within an origin. Text: `1.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The replica.
    pub replica: ReplicaId,
    /// Its life.
    pub incarnation: Incarnation,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.replica, self.incarnation)
    }
}

impl FromStr for Origin {
    type Err = ChangelogError;

    fn from_str(text: &str) -> Result<Self, ChangelogError> {
        let (replica, incarnation) = text.split_once('.').ok_or(ChangelogError::Origin)?;
        let number = |text: &str| text.parse::<u16>().map_err(|_| ChangelogError::Origin);
        Ok(Self {
            replica: ReplicaId::new(number(replica)?).ok_or(ChangelogError::Origin)?,
            incarnation: Incarnation::new(number(incarnation)?).ok_or(ChangelogError::Origin)?,
        })
    }
}

/// A change sequence number: 12 octets, big-endian, whose byte order is the order of changes.
///
/// | offset | octets | content |
/// |---|---|---|
/// | 0 | 6 | milliseconds since 1970 |
/// | 6 | 2 | counter within the millisecond |
/// | 8 | 2 | replica id |
/// | 10 | 2 | incarnation |
///
/// Text is 24 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Csn([u8; 12]);

impl Csn {
    /// Below every CSN that a generator makes.
    pub const ZERO: Self = Self([0; 12]);

    /// From its parts; milliseconds beyond 48 bits are capped.
    pub const fn new(ms: u64, counter: u16, replica: u16, incarnation: u16) -> Self {
        let ms = if ms > MAX_MS { MAX_MS } else { ms };
        let [_, _, m5, m4, m3, m2, m1, m0] = ms.to_be_bytes();
        let [c1, c0] = counter.to_be_bytes();
        let [r1, r0] = replica.to_be_bytes();
        let [i1, i0] = incarnation.to_be_bytes();
        Self([m5, m4, m3, m2, m1, m0, c1, c0, r1, r0, i1, i0])
    }

    /// From the stored form.
    pub const fn from_bytes(octets: [u8; 12]) -> Self {
        Self(octets)
    }

    /// The stored form.
    pub const fn to_bytes(self) -> [u8; 12] {
        self.0
    }

    /// The stored form, borrowed.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    /// Milliseconds since 1970 by the hybrid clock of the origin.
    pub const fn ms(self) -> u64 {
        let [m5, m4, m3, m2, m1, m0, ..] = self.0;
        u64::from_be_bytes([0, 0, m5, m4, m3, m2, m1, m0])
    }

    /// The counter within the millisecond.
    pub const fn counter(self) -> u16 {
        let [_, _, _, _, _, _, c1, c0, ..] = self.0;
        u16::from_be_bytes([c1, c0])
    }

    /// The number of the replica that made it.
    pub const fn replica(self) -> u16 {
        let [.., r1, r0, _, _] = self.0;
        u16::from_be_bytes([r1, r0])
    }

    /// The replica's incarnation.
    pub const fn incarnation(self) -> u16 {
        let [.., i1, i0] = self.0;
        u16::from_be_bytes([i1, i0])
    }

    /// The replica and incarnation, if neither is zero.
    pub const fn origin(self) -> Option<Origin> {
        match (ReplicaId::new(self.replica()), Incarnation::new(self.incarnation())) {
            (Some(replica), Some(incarnation)) => Some(Origin { replica, incarnation }),
            _ => None,
        }
    }

    /// OpenDJ's 28-digit layout: 16 digits of time, 4 of replica id, 8 of sequence number, which here is
    /// counter × 65536 + incarnation.
    pub fn to_opendj(self) -> String {
        let sequence = (u32::from(self.counter()) << 16) | u32::from(self.incarnation());
        format!("{:016x}{:04x}{:08x}", self.ms(), self.replica(), sequence)
    }

    fn from_opendj(text: &str) -> Option<Self> {
        let (ms, rest) = text.split_at_checked(16)?;
        let (replica, sequence) = rest.split_at_checked(4)?;
        let ms = u64::from_str_radix(ms, 16).ok().filter(|&ms| ms <= MAX_MS)?;
        let replica = u16::from_str_radix(replica, 16).ok()?;
        let [c1, c0, i1, i0] = u32::from_str_radix(sequence, 16).ok()?.to_be_bytes();
        Some(Self::new(ms, u16::from_be_bytes([c1, c0]), replica, u16::from_be_bytes([i1, i0])))
    }
}

impl fmt::Display for Csn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Csn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Csn({self})")
    }
}

impl FromStr for Csn {
    type Err = ChangelogError;

    /// Reads the 24-digit form, or OpenDJ's of 28.
    fn from_str(text: &str) -> Result<Self, ChangelogError> {
        if !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(ChangelogError::Csn);
        }
        if text.len() == 28 {
            return Self::from_opendj(text).ok_or(ChangelogError::Csn);
        }
        if text.len() != 24 {
            return Err(ChangelogError::Csn);
        }
        let mut octets = [0; 12];
        for (index, octet) in octets.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2).ok_or(ChangelogError::Csn)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| ChangelogError::Csn)?;
        }
        Ok(Self(octets))
    }
}

/// A hybrid logical clock: it follows the wall clock, and rises also when that stands still or steps back.
///
/// Every CSN it makes is greater than all it made or observed before. After a restart, [`CsnGenerator::observe`]
/// the newest CSN of the log before the first [`CsnGenerator::next`].
#[derive(Debug, Clone)]
pub struct CsnGenerator {
    origin: Origin,
    ms: u64,
    counter: u16,
}

impl CsnGenerator {
    /// A clock that has seen nothing yet.
    pub const fn new(origin: Origin) -> Self {
        Self { origin, ms: 0, counter: 0 }
    }

    /// Whose CSNs these are.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The next CSN, given the wall clock in milliseconds since 1970. When more than 65,536 changes share a
    /// millisecond the clock runs ahead by one.
    pub fn next(&mut self, wall_ms: u64) -> Csn {
        let wall_ms = wall_ms.min(MAX_MS);
        if wall_ms > self.ms {
            (self.ms, self.counter) = (wall_ms, 0);
        } else if let Some(counter) = self.counter.checked_add(1) {
            self.counter = counter;
        } else {
            (self.ms, self.counter) = (self.ms + 1, 0);
        }
        self.last()
    }

    /// Adopts a CSN seen elsewhere, so that every later [`CsnGenerator::next`] is greater. The caller checks
    /// beforehand that [`CsnGenerator::ahead_ms`] is within the tolerated skew.
    pub fn observe(&mut self, seen: Csn) {
        if (seen.ms(), seen.counter()) > (self.ms, self.counter) {
            (self.ms, self.counter) = (seen.ms(), seen.counter());
        }
    }

    /// Milliseconds by which a CSN is ahead of the wall clock; zero if it is not.
    pub const fn ahead_ms(seen: Csn, wall_ms: u64) -> u64 {
        seen.ms().saturating_sub(wall_ms)
    }

    /// The newest CSN made, or where an observed one put the clock.
    pub const fn last(&self) -> Csn {
        Csn::new(self.ms, self.counter, self.origin.replica.get(), self.origin.incarnation.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn generator() -> CsnGenerator {
        CsnGenerator::new(Origin { replica: ReplicaId::new(7).unwrap(), incarnation: Incarnation::ONE })
    }

    #[test]
    fn both_text_forms() {
        let csn = Csn::new(0x0123_4567_89ab, 0x0c0d, 0x0102, 3);
        assert_eq!(csn.to_string(), "0123456789ab0c0d01020003");
        assert_eq!(csn.to_opendj(), "00000123456789ab01020c0d0003");
        assert_eq!(csn.to_string().parse(), Ok(csn));
        assert_eq!(csn.to_opendj().parse(), Ok(csn));
        for wrong in
            ["", "0", "0123456789ab0c0d0102000", "0123456789ab0c0d0102000g", "ffff0123456789ab01020c0d0003"]
        {
            assert_eq!(wrong.parse::<Csn>(), Err(ChangelogError::Csn), "{wrong}");
        }
    }

    #[test]
    fn the_clock_rises_when_the_wall_clock_does_not() {
        let mut clock = generator();
        let first = clock.next(1000);
        assert_eq!((first.ms(), first.counter(), first.replica(), first.incarnation()), (1000, 0, 7, 1));
        let second = clock.next(1000);
        let third = clock.next(10);
        assert!(first < second && second < third);
        assert_eq!((third.ms(), third.counter()), (1000, 2));
        assert_eq!(clock.next(1001).counter(), 0);
    }

    #[test]
    fn a_full_counter_borrows_the_next_millisecond() {
        let mut clock = generator();
        clock.observe(Csn::new(5, u16::MAX, 1, 1));
        assert_eq!(clock.next(5), Csn::new(6, 0, 7, 1));
    }

    #[test]
    fn observed_csns_are_passed() {
        let mut clock = generator();
        let seen = Csn::new(9_000, 4, 9, 1);
        clock.observe(seen);
        assert!(clock.next(8_000) > seen);
        clock.observe(Csn::new(1, 0, 9, 1));
        assert!(clock.last() > seen);
        assert_eq!(CsnGenerator::ahead_ms(seen, 8_000), 1_000);
    }

    #[test]
    fn origins() {
        assert_eq!("3.2".parse::<Origin>().unwrap().to_string(), "3.2");
        for wrong in ["", "1", "0.1", "1.0", "1.65536", "1.1.1"] {
            assert_eq!(wrong.parse::<Origin>(), Err(ChangelogError::Origin), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn byte_order_is_the_order_of_the_parts(a: (u32, u16, u16, u16), b: (u32, u16, u16, u16)) {
            let csn = |p: (u32, u16, u16, u16)| Csn::new(u64::from(p.0), p.1, p.2, p.3);
            prop_assert_eq!(csn(a).cmp(&csn(b)), a.cmp(&b));
            prop_assert_eq!(csn(a).to_string().parse(), Ok(csn(a)));
            prop_assert_eq!(csn(a).to_opendj().parse(), Ok(csn(a)));
        }

        #[test]
        fn generated_csns_rise(steps in proptest::collection::vec((0_u64..50, proptest::option::of((0_u64..60, any::<u16>()))), 1..100)) {
            let mut clock = generator();
            let mut last = Csn::ZERO;
            for (wall, seen) in steps {
                if let Some((ms, counter)) = seen {
                    let seen = Csn::new(ms, counter, 2, 1);
                    clock.observe(seen);
                    last = last.max(seen);
                }
                let next = clock.next(wall);
                prop_assert!(next > last);
                last = next;
            }
        }
    }
}
