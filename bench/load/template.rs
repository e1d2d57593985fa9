//! Requests encoded once: what differs from one to the next has a fixed length and is patched in.

use bytes::BytesMut;

use ctsd::protocol::message::MessageId;

/// The message id that templates are encoded with; all ids sent take as many octets.
pub(crate) const FIRST_ID: i32 = 0x0100_0000;

/// A request with holes.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    id_at: usize,
    holes: Vec<Vec<usize>>,
}

impl Template {
    /// Takes a request that `encode` writes with the given message id. Each of `marks` must be in it; wherever
    /// it is, there is a hole.
    pub(crate) fn new(marks: &[&[u8]], encode: impl FnOnce(&mut BytesMut, MessageId)) -> Self {
        let mut out = BytesMut::new();
        encode(&mut out, MessageId(FIRST_ID));
        let bytes = out.to_vec();
        let id_at = find(&bytes, &FIRST_ID.to_be_bytes()).next().expect("a message has an id");
        let holes: Vec<Vec<usize>> = marks.iter().map(|mark| find(&bytes, mark).collect()).collect();
        assert!(holes.iter().all(|places| !places.is_empty()), "a mark is missing in a template");
        Self { bytes, id_at, holes }
    }

    /// Appends the request; `values` are as long as the marks they stand for.
    pub(crate) fn put(&self, out: &mut Vec<u8>, id: i32, values: &[&[u8]]) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let message = &mut out[start..];
        message[self.id_at..self.id_at + 4].copy_from_slice(&id.to_be_bytes());
        for (places, value) in self.holes.iter().zip(values) {
            for place in places {
                message[*place..*place + value.len()].copy_from_slice(value);
            }
        }
    }

    /// Octets of the request.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn find<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(wanted.len()).enumerate().filter(move |(_, window)| *window == wanted).map(|(at, _)| at)
}
