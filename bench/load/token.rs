//! Tokens: all that is sent about one follows from its number.

/// A token that the server is known to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its number, from 0 in order of adding.
    pub(crate) seq: u64,
    /// What its coreTokenString01 holds, or 0 if that is not known.
    pub(crate) version: u64,
    /// Its etag, or zeros if that is not known.
    pub(crate) etag: [u8; 16],
}

impl Token {
    pub(crate) const fn new(seq: u64) -> Self {
        Self { seq, version: 0, etag: [0; 16] }
    }

    pub(crate) const fn has_etag(&self) -> bool {
        self.etag[0] != 0
    }
}

/// Odd, so that multiplying by it can be undone: ids come in no order, as OpenAM's do.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Digits of an id.
pub(crate) const ID: usize = 20;

/// The id of token `seq`: 20 digits.
pub(crate) fn id(seq: u64) -> [u8; ID] {
    digits(seq.wrapping_mul(SPREAD))
}

/// The token that has this id.
pub(crate) fn seq_of(id: &[u8]) -> Option<u64> {
    let number: u64 = std::str::from_utf8(id).ok()?.parse().ok()?;
    let mut inverse: u64 = 1;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(SPREAD.wrapping_mul(inverse)));
    }
    Some(number.wrapping_mul(inverse))
}

/// Which of `users` the token belongs to: 5 digits.
pub(crate) fn user(seq: u64, users: u64) -> [u8; 5] {
    let mixed = seq.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20;
    digits(mixed % users.clamp(1, 100_000))
}

/// A number in exactly `N` digits; higher ones are lost.
pub(crate) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut out = [b'0'; N];
    for octet in out.iter_mut().rev() {
        *octet = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out
}

/// Octets of a time as [`time`] writes it.
pub(crate) const TIME: usize = 19;

/// Milliseconds since 1970 as OpenAM writes times: `YYYYMMDDhhmmss.mmmZ`. The milliseconds are never zero,
/// since OpenAM would leave them out.
pub(crate) fn time(ms: u64) -> [u8; TIME] {
    let ms = if ms.is_multiple_of(1000) { ms + 1 } else { ms };
    let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Days since 0000-03-01, in eras of 400 years, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let mut out = *b"00000000000000.000Z";
    let date = year * 10_000 + month * 100 + day;
    let clock = second / 3600 * 10_000 + second / 60 % 60 * 100 + second % 60;
    out[..14].copy_from_slice(&digits::<14>(date * 1_000_000 + clock));
    out[15..18].copy_from_slice(&digits::<3>(ms % 1000));
    out
}

/// Random numbers, xorshift64*: fast, and repeatable by seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(SPREAD) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
