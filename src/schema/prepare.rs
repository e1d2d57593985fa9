//! String preparation (RFC 4518): the form in which strings are compared.
//!
//! The steps are transcode (UTF-8 in), map, normalise (NFKC), prohibit, and the handling of insignificant
//! characters; bidirectional characters are left alone, as the RFC says. Case folding joins the map step for
//! the case-ignoring rules. Plain ASCII, which is nearly all a token store sees, takes a short cut that gives
//! the same octets.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::matching::SubstringPlace;

/// Whether case is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Upper and lower case are one.
    Ignore,
    /// Case counts.
    Exact,
}

/// What becomes of insignificant characters (RFC 4518 §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A whole value: outer spaces dropped, inner runs squeezed to one. A value of nothing but spaces is one space.
    /// This is the RFC's form with the padding left out, which equality does not need.
    Whole,
    /// A whole value in which substrings are looked for: one space before and behind, inner runs doubled.
    Searched,
    /// A part of a substring assertion, to be looked for in [`Form::Searched`].
    Part(SubstringPlace),
    /// Spaces removed: numeric strings.
    Numeric,
    /// Spaces and hyphens removed: telephone numbers.
    Telephone,
}

/// How the space handling writes a string.
struct Spacing {
    lead: Edge,
    trail: Edge,
    inner: &'static str,
    empty: &'static str,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Edge {
    Never,
    Always,
    IfThere,
}

impl Edge {
    fn wants(self, there: bool) -> bool {
        self == Self::Always || (self == Self::IfThere && there)
    }
}

impl Form {
    /// The spacing of the form; none if it removes spaces.
    fn spacing(self) -> Option<Spacing> {
        let (lead, trail, inner, empty) = match self {
            Self::Whole => (Edge::Never, Edge::Never, " ", " "),
            Self::Searched => (Edge::Always, Edge::Always, "  ", "  "),
            Self::Part(SubstringPlace::Initial) => (Edge::Always, Edge::IfThere, "  ", " "),
            Self::Part(SubstringPlace::Any) => (Edge::IfThere, Edge::IfThere, "  ", " "),
            Self::Part(SubstringPlace::Final) => (Edge::IfThere, Edge::Always, "  ", " "),
            Self::Numeric | Self::Telephone => return None,
        };
        Some(Spacing { lead, trail, inner, empty })
    }
}

/// Prepares `value` and appends it to `out`. Fails if it is not UTF-8 or holds a prohibited character
/// (RFC 4518 §2.4); `out` is then as it was.
pub(crate) fn prepare(value: &[u8], case: Case, form: Form, out: &mut Vec<u8>) -> Result<(), String> {
    if is_plain(value) {
        prepare_plain(value, case, form, out);
        return Ok(());
    }
    prepare_any(value, case, form, out)
}

/// Whether every octet is a printing ASCII character and spaces stand singly and inside: such a value is its
/// own preparation but for case and padding.
fn is_plain(value: &[u8]) -> bool {
    let mut after_space = true;
    for &octet in value {
        if !(0x20..0x7F).contains(&octet) {
            return false;
        }
        let space = octet == b' ';
        if space && after_space {
            return false;
        }
        after_space = space;
    }
    !after_space
}

fn prepare_plain(value: &[u8], case: Case, form: Form, out: &mut Vec<u8>) {
    let start = out.len();
    match form {
        Form::Whole => out.extend_from_slice(value),
        Form::Numeric => out.extend(value.iter().filter(|&&octet| octet != b' ')),
        Form::Telephone => out.extend(value.iter().filter(|octet| !matches!(octet, b' ' | b'-'))),
        Form::Searched | Form::Part(_) => {
            let lead = matches!(form, Form::Searched | Form::Part(SubstringPlace::Initial));
            let trail = matches!(form, Form::Searched | Form::Part(SubstringPlace::Final));
            out.reserve(value.len() + 8);
            if lead {
                out.push(b' ');
            }
            for &octet in value {
                out.push(octet);
                if octet == b' ' {
                    out.push(b' ');
                }
            }
            if trail {
                out.push(b' ');
            }
        }
    }
    if case == Case::Ignore
        && let Some(written) = out.get_mut(start..)
    {
        written.make_ascii_lowercase();
    }
}

fn prepare_any(value: &[u8], case: Case, form: Form, out: &mut Vec<u8>) -> Result<(), String> {
    let text = std::str::from_utf8(value).map_err(|_| String::from("the value is not UTF-8"))?;
    let normal = text.chars().filter_map(map).nfkc();
    let text: String = match case {
        Case::Exact => normal.collect(),
        // Normalising first folds what is a letter only by compatibility; folding may decompose again.
        Case::Ignore => normal.flat_map(fold).nfkc().collect(),
    };
    if text.chars().any(is_prohibited) {
        return Err("the value holds a character that strings must not hold (RFC 4518, section 2.4)".into());
    }
    match form.spacing() {
        Some(spacing) => space(&text, &spacing, out),
        None => {
            let mut kept = [0; 4];
            for (character, insignificant) in marked(&text) {
                if !(insignificant || form == Form::Telephone && is_hyphen(character)) {
                    out.extend_from_slice(character.encode_utf8(&mut kept).as_bytes());
                }
            }
        }
    }
    Ok(())
}

/// RFC 4518 §2.2: none for what maps to nothing, SPACE for everything that separates.
fn map(character: char) -> Option<char> {
    match character {
        '\t'..='\r' | '\u{85}' => Some(' '),
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => None,
        ' '..='~' => Some(character),
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}' => Some(' '),
        '\u{ad}'
        | '\u{34f}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2063}'
        | '\u{206a}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffc}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}'
        | '\u{e0020}'..='\u{e007f}' => None,
        other => Some(other),
    }
}

/// Full case folding, out of the standard library's tables: up, then down, which joins final sigma, long s and
/// sharp s to their kin. The two letters for which that differs from the folding table are named.
fn fold(character: char) -> impl Iterator<Item = char> {
    let (first, second) = match character {
        'ẞ' => ('s', Some('s')),
        other => (other, None),
    };
    let keep = character == 'ı' || character.is_ascii();
    let upper = if keep { None } else { Some(first.to_uppercase().flat_map(char::to_lowercase)) };
    let kept = keep.then(|| character.to_ascii_lowercase());
    kept.into_iter().chain(upper.into_iter().flatten()).chain(second)
}

/// RFC 4518 §2.4, without the unassigned code points: Unicode has grown since 3.2.
fn is_prohibited(character: char) -> bool {
    matches!(character,
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fffd}')
        || u32::from(character) & 0xFFFE == 0xFFFE
}

/// RFC 4518 §2.6.3.
fn is_hyphen(character: char) -> bool {
    matches!(character, '-' | '\u{58a}' | '\u{2010}' | '\u{2011}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}')
}

/// The characters, each with whether it is an insignificant space: one that no combining mark follows.
fn marked(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        let character = rest.next()?;
        let space = character == ' ' && !rest.peek().is_some_and(|&next| is_combining_mark(next));
        Some((character, space))
    })
}

fn space(text: &str, spacing: &Spacing, out: &mut Vec<u8>) {
    let mut encoded = [0; 4];
    let mut started = false;
    let mut gap = false;
    for (character, insignificant) in marked(text) {
        if insignificant {
            gap = true;
            continue;
        }
        if !started {
            if spacing.lead.wants(gap) {
                out.push(b' ');
            }
        } else if gap {
            out.extend_from_slice(spacing.inner.as_bytes());
        }
        started = true;
        gap = false;
        out.extend_from_slice(character.encode_utf8(&mut encoded).as_bytes());
    }
    if !started {
        out.extend_from_slice(spacing.empty.as_bytes());
    } else if spacing.trail.wants(gap) {
        out.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [Form; 7] = [
        Form::Whole,
        Form::Searched,
        Form::Part(SubstringPlace::Initial),
        Form::Part(SubstringPlace::Any),
        Form::Part(SubstringPlace::Final),
        Form::Numeric,
        Form::Telephone,
    ];

    fn prepared(text: &str, case: Case, form: Form) -> String {
        let mut out = Vec::new();
        prepare(text.as_bytes(), case, form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn folded(text: &str) -> String {
        prepared(text, Case::Ignore, Form::Whole)
    }

    #[test]
    fn spaces_as_the_rfc_shows() {
        assert_eq!(prepared("foo bar  ", Case::Exact, Form::Searched), " foo  bar ");
        assert_eq!(prepared("", Case::Exact, Form::Searched), "  ");
        assert_eq!(prepared("   ", Case::Exact, Form::Searched), "  ");
        assert_eq!(prepared("  ", Case::Exact, Form::Part(SubstringPlace::Any)), " ");
        assert_eq!(prepared("foo ", Case::Exact, Form::Part(SubstringPlace::Initial)), " foo ");
        assert_eq!(prepared(" foo  bar", Case::Exact, Form::Part(SubstringPlace::Any)), " foo  bar");
        assert_eq!(prepared(" bar", Case::Exact, Form::Part(SubstringPlace::Final)), " bar ");
        assert_eq!(prepared("bar", Case::Exact, Form::Part(SubstringPlace::Final)), "bar ");
        assert_eq!(prepared("  Foo \u{a0} Bar\t", Case::Exact, Form::Whole), "Foo Bar");
        assert_eq!(prepared(" ", Case::Exact, Form::Whole), " ");
    }

    #[test]
    fn numbers_and_telephones() {
        assert_eq!(prepared(" 123  456 ", Case::Ignore, Form::Numeric), "123456");
        assert_eq!(prepared("  ", Case::Ignore, Form::Numeric), "");
        assert_eq!(prepared("+1 (408) 555-1798 X", Case::Ignore, Form::Telephone), "+1(408)5551798x");
        assert_eq!(prepared("12\u{2011}34\u{2212}5", Case::Ignore, Form::Telephone), "12345");
    }

    #[test]
    fn folding_and_normalising() {
        assert_eq!(folded("STRASSE"), folded("straße"));
        assert_eq!(folded("STRAẞE"), folded("strasse"));
        assert_eq!(folded("ΣΊΣΥΦΟΣ"), folded("σίσυφος"));
        assert_eq!(folded("e\u{301}"), folded("É"));
        assert_eq!(folded("ﬁ"), "fi");
        assert_eq!(folded("\u{212a}"), "k");
        assert_eq!(folded("ı"), "ı");
        assert_eq!(folded("a\u{ad}b\u{200b}c\u{feff}\u{0}"), "abc");
        assert_eq!(folded("℡"), "tel");
        assert_eq!(folded("😀 Ok"), "😀 ok");
        assert_ne!(prepared("A", Case::Exact, Form::Whole), prepared("a", Case::Exact, Form::Whole));
    }

    #[test]
    fn a_space_under_a_combining_mark_counts() {
        assert_eq!(prepared("a  \u{301}b", Case::Exact, Form::Whole), "a  \u{301}b");
    }

    #[test]
    fn prohibited_or_not_utf8_fails() {
        for text in ["\u{e000}", "a\u{fffd}", "\u{fdd0}", "\u{1fffe}"] {
            assert!(prepare(text.as_bytes(), Case::Ignore, Form::Whole, &mut Vec::new()).is_err());
        }
        assert!(prepare(b"\xff", Case::Ignore, Form::Whole, &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn the_short_cut_changes_nothing(text in "[ -~]{0,24}") {
            for form in FORMS {
                for case in [Case::Ignore, Case::Exact] {
                    let (mut quick, mut slow) = (Vec::new(), Vec::new());
                    prepare(text.as_bytes(), case, form, &mut quick).unwrap();
                    prepare_any(text.as_bytes(), case, form, &mut slow).unwrap();
                    prop_assert_eq!(&quick, &slow);
                }
            }
        }

        #[test]
        fn preparing_twice_is_preparing_once(text in "[ -~äÄßΣς\u{a0}\u{301}]{0,16}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
