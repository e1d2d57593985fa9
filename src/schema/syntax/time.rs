//! Generalized time (RFC 4517 §3.3.13) and UTC time (§3.3.34): instants in and out.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The instant of a generalized time, in microseconds since 1970-01-01T00:00:00Z.
///
/// Minutes and seconds may be missing; a fraction (`.` or `,`) belongs to the last unit given and is truncated
/// to the microsecond; the zone is `Z`, `±hh` or `±hhmm`. Second 60 is the first of the next minute. Years 0000–9999.
/// Fails with what is wrong.
pub fn parse_generalized_time(value: &[u8]) -> Result<i64, &'static str> {
    let mut rest = Cursor(value);
    let year = rest.digits(4).ok_or("the year must be four digits")?;
    let days = date(year, &mut rest)?;
    let hour = rest.digits(2).filter(|&hour| hour < 24).ok_or("the hour must be 00 to 23")?;
    let mut unit = 3600 * MICROS_PER_SECOND;
    let mut seconds = days * SECONDS_PER_DAY + hour * 3600;
    if rest.at_digit() {
        seconds += 60 * minute(&mut rest)?;
        unit = 60 * MICROS_PER_SECOND;
        if rest.at_digit() {
            seconds += second(&mut rest)?;
            unit = MICROS_PER_SECOND;
        }
    }
    let fraction = match rest.0.split_first() {
        Some((b'.' | b',', digits)) => {
            rest.0 = digits;
            rest.fraction_of(unit).ok_or("a fraction needs a digit")?
        }
        _ => 0,
    };
    let offset = match rest.0.split_first() {
        Some((b'Z', [])) => 0,
        Some((&sign @ (b'+' | b'-'), zone)) => {
            rest.0 = zone;
            let hours =
                rest.digits(2).filter(|&hours| hours < 24).ok_or("the zone's hours must be 00 to 23")?;
            let minutes = if rest.0.is_empty() { 0 } else { minute(&mut rest)? };
            if !rest.0.is_empty() {
                return Err("something follows the zone");
            }
            let offset = hours * 3600 + minutes * 60;
            if sign == b'-' { -offset } else { offset }
        }
        Some((b'Z', _)) => return Err("something follows the zone"),
        _ => return Err("the zone is missing"),
    };
    Ok((seconds - offset) * MICROS_PER_SECOND + fraction)
}

/// The instant of a UTC time (`YYMMDDhhmm[ss]` and optionally `Z` or `±hhmm`), in microseconds since the epoch.
/// Years 50–99 are of the twentieth century. Fails with what is wrong.
pub fn parse_utc_time(value: &[u8]) -> Result<i64, &'static str> {
    let mut rest = Cursor(value);
    let year = rest.digits(2).ok_or("the year must be two digits")?;
    let days = date(if year < 50 { 2000 + year } else { 1900 + year }, &mut rest)?;
    let hour = rest.digits(2).filter(|&hour| hour < 24).ok_or("the hour must be 00 to 23")?;
    let mut seconds = days * SECONDS_PER_DAY + hour * 3600 + 60 * minute(&mut rest)?;
    if rest.at_digit() {
        seconds += second(&mut rest)?;
    }
    match rest.0.split_first() {
        None | Some((b'Z', [])) => {}
        Some((&sign @ (b'+' | b'-'), zone)) => {
            rest.0 = zone;
            let hours =
                rest.digits(2).filter(|&hours| hours < 24).ok_or("the zone's hours must be 00 to 23")?;
            let offset = hours * 3600 + minute(&mut rest)? * 60;
            if !rest.0.is_empty() {
                return Err("something follows the zone");
            }
            seconds += if sign == b'-' { offset } else { -offset };
        }
        Some(_) => return Err("something follows the time"),
    }
    Ok(seconds * MICROS_PER_SECOND)
}

/// `YYYYMMDDHHMMSSZ` of an instant in milliseconds since the epoch; the form of `createTimestamp`. What lies past
/// the year 9999 is written as its last second.
pub fn format_generalized_time(ms: u64) -> String {
    let mut text = seconds_text(ms);
    text.push('Z');
    text
}

/// `YYYYMMDDHHMMSS.mmmZ` of an instant in milliseconds since the epoch.
pub fn format_generalized_time_ms(ms: u64) -> String {
    use std::fmt::Write;
    let mut text = seconds_text(ms);
    // Writing to a String does not fail.
    let _ = write!(text, ".{:03}Z", ms % 1000);
    text
}

fn seconds_text(ms: u64) -> String {
    const LAST_SECOND: u64 = 253_402_300_799;
    let seconds = (ms / 1000).min(LAST_SECOND).cast_signed();
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let mut text = String::with_capacity(19);
    for (number, width) in
        [(year, 4), (month, 2), (day, 2), (of_day / 3600, 2), (of_day / 60 % 60, 2), (of_day % 60, 2)]
    {
        for place in (0..width).rev() {
            let digit = number / 10_i64.pow(place) % 10;
            text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
        }
    }
    text
}

/// What is left of a value.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn at_digit(&self) -> bool {
        self.0.first().is_some_and(u8::is_ascii_digit)
    }

    /// The number of the next `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for octet in head {
            if !octet.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(octet - b'0');
        }
        self.0 = tail;
        Some(number)
    }

    /// The fraction whose digits come next, of `unit`; digits past the fifteenth cannot reach a microsecond.
    fn fraction_of(&mut self, unit: i64) -> Option<i64> {
        let (mut number, mut scale, mut count) = (0_i128, 1_i128, 0);
        while let Some((octet, tail)) = self.0.split_first()
            && octet.is_ascii_digit()
        {
            if count < 15 {
                number = number * 10 + i128::from(octet - b'0');
                scale *= 10;
            }
            count += 1;
            self.0 = tail;
        }
        if count == 0 {
            return None;
        }
        i64::try_from(number * i128::from(unit) / scale).ok()
    }
}

fn minute(rest: &mut Cursor<'_>) -> Result<i64, &'static str> {
    rest.digits(2).filter(|&minute| minute < 60).ok_or("minutes must be 00 to 59")
}

fn second(rest: &mut Cursor<'_>) -> Result<i64, &'static str> {
    rest.digits(2).filter(|&second| second <= 60).ok_or("seconds must be 00 to 60")
}

/// Month and day, as days since the epoch.
fn date(year: i64, rest: &mut Cursor<'_>) -> Result<i64, &'static str> {
    let month =
        rest.digits(2).filter(|month| (1..=12).contains(month)).ok_or("the month must be 01 to 12")?;
    let day = rest
        .digits(2)
        .filter(|&day| day >= 1 && day <= length_of_month(year, month))
        .ok_or("the month has no such day")?;
    Ok(days_since_epoch(year, month, day))
}

fn length_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. The year is taken to begin in March, so that the leap day is its last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a day from 1970-01-01 on.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days / 366;
    while days_since_epoch(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut left = days - days_since_epoch(year, 1, 1);
    let mut month = 1;
    while left >= length_of_month(year, month) {
        left -= length_of_month(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(text: &str) -> i64 {
        parse_generalized_time(text.as_bytes()).unwrap() / 1000
    }

    #[test]
    fn every_form_of_one_instant() {
        let instant = ms("20261122051638.043Z");
        for text in [
            "20261122081638.043+0300",
            "20261122081638,043+03",
            "20261122001638.043-0500",
            "20261122051638.0430000Z",
            "20261122104638.043+0530",
        ] {
            assert_eq!(ms(text), instant, "{text}");
        }
        assert_eq!(ms("20261122051638Z"), ms("20261122081638+0300"));
        assert_eq!(ms("202611220516Z"), ms("20261122051600Z"));
        assert_eq!(ms("2026112205Z"), ms("20261122050000Z"));
        assert_eq!(ms("2026112205.5Z"), ms("20261122053000Z"));
        assert_eq!(ms("202611220516.25+00"), ms("20261122051615Z"));
        assert_eq!(ms("20161231235960Z"), ms("20170101000000Z"));
    }

    #[test]
    fn known_instants() {
        assert_eq!(parse_generalized_time(b"19700101000000Z"), Ok(0));
        assert_eq!(parse_generalized_time(b"19700101000000.000001Z"), Ok(1));
        assert_eq!(parse_generalized_time(b"19691231235959.999999Z"), Ok(-1));
        assert_eq!(ms("20000229000000Z"), 951_782_400_000);
        assert_eq!(ms("00000101000000Z"), -62_167_219_200_000);
        assert_eq!(ms("99991231235959Z"), 253_402_300_799_000);
        assert_eq!(parse_utc_time(b"7001010000Z"), Ok(0));
        assert_eq!(parse_utc_time(b"700101010000+0100"), Ok(0));
    }

    #[test]
    fn what_is_not_a_time() {
        for text in [
            "",
            "2026",
            "20260230000000Z",
            "20250229000000Z",
            "19000229000000Z",
            "20261301000000Z",
            "20260001000000Z",
            "20260100000000Z",
            "20260101240000Z",
            "20260101006000Z",
            "20260101000061Z",
            "20260101000000",
            "20260101000000.Z",
            "20260101000000Zx",
            "20260101000000+3",
            "20260101000000+03001",
            "20260101000000+2400",
            "20260101000000+0060",
            " 20260101000000Z",
            "20260101000000z",
            "2026010100000Z",
            "2026-01-01T00:00:00Z",
        ] {
            assert!(parse_generalized_time(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printed_times_read_back(at in 0_u64..253_402_300_800_000) {
            let whole = parse_generalized_time(format_generalized_time(at).as_bytes()).unwrap();
            prop_assert_eq!(whole.cast_unsigned(), at / 1000 * 1_000_000);
            let exact = parse_generalized_time(format_generalized_time_ms(at).as_bytes()).unwrap();
            prop_assert_eq!(exact.cast_unsigned(), at * 1000);
        }

        #[test]
        fn no_octets_make_it_fall(value in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = parse_generalized_time(&value);
            let _ = parse_utc_time(&value);
        }
    }

    #[test]
    fn agrees_with_an_independent_calendar() {
        let mut day = jiff::civil::date(1970, 1, 1);
        for number in 0..100_000 {
            let expected = format!("{:04}{:02}{:02}000000Z", day.year(), day.month(), day.day());
            assert_eq!(format_generalized_time(number * 86_400_000), expected);
            day = day.tomorrow().unwrap();
        }
    }
}
