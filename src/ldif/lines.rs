//! Logical lines: physical ones unfolded, comments gone.

use std::io::BufRead;

use super::LdifError;

/// Longest logical line accepted, in octets; far above any value that a server takes.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// A logical line that is not empty.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) text: Vec<u8>,
    /// Number of its first physical line, from one.
    pub(super) number: u64,
}

/// Cuts logical lines; an empty line gives [`None`] in between and the end an [`Option::None`] outside.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    /// A physical line read ahead, with its number.
    ahead: Option<(Vec<u8>, u64)>,
    number: u64,
    is_ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, ahead: None, number: 0, is_ended: false }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The number of the first physical line.
    pub(super) fn start_at(&mut self, line: u64) {
        self.number = line.saturating_sub(1);
    }

    /// Number of the last physical line read.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn physical(&mut self) -> Result<Option<(Vec<u8>, u64)>, LdifError> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(line));
        }
        if self.is_ended {
            return Ok(None);
        }
        let mut text = Vec::new();
        let read = self.reader.read_until(b'\n', &mut text);
        self.number += 1;
        match read {
            Err(source) => {
                self.is_ended = true;
                return Err(LdifError::Read { line: self.number, source });
            }
            Ok(0) => {
                self.is_ended = true;
                return Ok(None);
            }
            Ok(_) => {}
        }
        if text.last() == Some(&b'\n') {
            text.pop();
            if text.last() == Some(&b'\r') {
                text.pop();
            }
        }
        // A byte order mark, as some editors leave.
        if self.number == 1 && text.starts_with(b"\xef\xbb\xbf") {
            text.drain(..3);
        }
        Ok(Some((text, self.number)))
    }

    /// The next logical line that is no comment; inner none for an empty line, outer none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Option<Line>>, LdifError> {
        loop {
            let Some((mut text, number)) = self.physical()? else { return Ok(None) };
            if text.is_empty() {
                return Ok(Some(None));
            }
            while let Some((more, at)) = self.physical()? {
                match more.split_first() {
                    Some((b' ', rest)) if text.len() + rest.len() <= MAX_LINE => text.extend_from_slice(rest),
                    Some((b' ', _)) => return Err(LdifError::at(number, "the line is too long")),
                    _ => {
                        self.ahead = Some((more, at));
                        break;
                    }
                }
            }
            if text.first() != Some(&b'#') {
                return Ok(Some(Some(Line { text, number })));
            }
        }
    }
}
