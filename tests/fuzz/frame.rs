//! Whatever arrives, and in whatever pieces: the frame cutter takes the same messages or fails alike.

use bytes::{Bytes, BytesMut};
use ctsd::ber::frame::{Cut, FrameError, cut};

const LIMIT: usize = 4096;

fn drain(buffer: &mut BytesMut, into: &mut Vec<Bytes>) -> Result<(), FrameError> {
    loop {
        match cut(buffer, LIMIT)? {
            Cut::Message(message) => into.push(message),
            Cut::Incomplete(needed) => {
                assert!(needed > buffer.len() && needed <= LIMIT);
                return Ok(());
            }
        }
    }
}

#[test]
fn frame() {
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        let mut buffer = BytesMut::from(input);
        let mut whole = Vec::new();
        let outcome = drain(&mut buffer, &mut whole);
        assert_eq!(whole.iter().map(Bytes::len).sum::<usize>() + buffer.len(), input.len());

        let (mut buffer, mut pieces) = (BytesMut::new(), Vec::new());
        let in_pieces = input.chunks(3).try_for_each(|piece| {
            buffer.extend_from_slice(piece);
            drain(&mut buffer, &mut pieces)
        });
        assert_eq!((outcome, whole), (in_pieces, pieces));
    });
}
