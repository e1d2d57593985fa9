//! Whatever a client or a server sends: decoding does not panic, and what is taken can be walked to its end.

use bytes::{Bytes, BytesMut};
use ctsd::ber::write::element;
use ctsd::protocol::control::RequestControls;
use ctsd::protocol::decode::{Limits, decode};
use ctsd::protocol::filter::Filter;
use ctsd::protocol::message::{Operation, OperationKind};
use ctsd::protocol::response;

/// Random octets are hardly ever a message, so they are also tried as the content of each operation.
fn wrapped(tag: u8, content: &[u8]) -> Bytes {
    let mut inner = BytesMut::from(&b"\x02\x01\x01"[..]);
    element(&mut inner, tag, content);
    let mut out = BytesMut::new();
    element(&mut out, 0x30, &inner);
    out.freeze()
}

fn walk(frame: Bytes) {
    let Ok(request) = decode(frame, &Limits::default()) else { return };
    let _ = RequestControls::gather(&request);
    match request.operation() {
        Operation::Add(add) => {
            assert!(add.attributes.iter().all(|attribute| !attribute.values.is_empty()));
        }
        Operation::Modify(modify) => {
            let _ = modify.changes.iter().map(|change| change.attribute.values.len()).sum::<usize>();
        }
        Operation::Search(search) => {
            let _ = search.attributes.len();
            let mut out = BytesMut::new();
            search.filter.encode(&mut out);
            assert_eq!(Filter::parse(&out, &Limits::default()).as_ref(), Ok(&search.filter));
        }
        _ => {}
    }
}

#[test]
fn message() {
    use OperationKind::{Abandon, Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search, Unbind};
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        walk(Bytes::copy_from_slice(input));
        let _ = response::decode(input);
        for kind in [Abandon, Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search, Unbind] {
            walk(wrapped(kind.tag(), input));
        }
        for tag in [0x61, 0x64, 0x65, 0x73, 0x78, 0x79] {
            let _ = response::decode(&wrapped(tag, input));
        }
        if let Ok(filter) = Filter::parse(input, &Limits::default()) {
            let mut out = BytesMut::new();
            filter.encode(&mut out);
            assert_eq!(Filter::parse(&out, &Limits::default()), Ok(filter));
        }
    });
}
