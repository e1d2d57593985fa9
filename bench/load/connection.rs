//! One connection: bound with blocking calls, then polled; a read and a write system call per wake-up.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ClientConfig;

use ctsd::protocol::message::MessageId;
use ctsd::protocol::{request, response};

use crate::socket::{Blocking, Socket};
use crate::template::FIRST_ID;
use crate::workload::Op;

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) op: Op,
    /// When it was sent, or was due to be: nanoseconds.
    pub(crate) since: u64,
    id: i32,
}

/// Bits of a message id that say the slot.
const SLOT_BITS: u32 = 12;

/// The most requests that can be in flight on a connection.
pub(crate) const MAX_IN_FLIGHT: usize = 1 << SLOT_BITS;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    written: usize,
    slots: Vec<Option<Flight>>,
    free: Vec<usize>,
    turn: i32,
}

impl Connection {
    /// Connects and binds.
    pub(crate) fn open(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        bind: Option<(&str, &[u8])>,
        in_flight: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let mut stream = Blocking::connect(address, tls)?;
        if let Some((dn, password)) = bind {
            let mut out = BytesMut::new();
            request::bind(&mut out, MessageId(1), dn, password, &[]);
            stream.write_all(&out)?;
            stream.flush()?;
            let mut input = vec![0; 16_384];
            let mut filled = 0;
            let frame = loop {
                match stream.read(&mut input[filled..])? {
                    0 => return Err("the server closed the connection on a bind".into()),
                    count => filled += count,
                }
                if let Some(length) = frame_len(&input[..filled])?.filter(|length| *length <= filled) {
                    break &input[..length];
                }
            };
            let message = response::decode(frame)?;
            let result = message.response.result().ok_or("a bind was answered with an entry")?;
            if result.code.0 != 0 {
                return Err(format!("bind: {} {}", result.code.0, result.diagnostic).into());
            }
        }
        let in_flight = in_flight.clamp(1, MAX_IN_FLIGHT);
        Ok(Self {
            socket: stream.poll_from_now()?,
            input: vec![0; 65_536],
            filled: 0,
            output: Vec::new(),
            written: 0,
            slots: (0..in_flight).map(|_| None).collect(),
            free: (0..in_flight).rev().collect(),
            turn: 0,
        })
    }

    /// Whether one more request may be sent.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a slot for a request; `put` writes it into the output. Nothing is sent before [`Self::flush`].
    pub(crate) fn send(&mut self, since: u64, op: Op, put: impl FnOnce(&mut Vec<u8>, i32, &Op)) {
        let Some(slot) = self.free.pop() else { return };
        self.turn = (self.turn + 1) & 0x3ffff;
        let id = FIRST_ID + (self.turn << SLOT_BITS) + slot as i32;
        put(&mut self.output, id, &op);
        self.slots[slot] = Some(Flight { op, since, id });
    }

    /// The flight of a message id, to be looked at.
    pub(crate) fn flight(&mut self, id: i32) -> Option<&mut Flight> {
        self.slots.get_mut(slot_of(id))?.as_mut().filter(|flight| flight.id == id)
    }

    /// The flight of a message id, landed.
    pub(crate) fn land(&mut self, id: i32) -> Option<Flight> {
        let slot = slot_of(id);
        let flight = self.slots.get_mut(slot)?.take_if(|flight| flight.id == id)?;
        self.free.push(slot);
        Some(flight)
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        while self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        self.socket.push()
    }

    /// Reads what the socket has and hands whole messages to `take`. Polling is edge-triggered: a read that
    /// leaves room in the buffer has emptied the socket.
    pub(crate) fn receive(&mut self, frames: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
        loop {
            let space = self.input.len() - self.filled;
            match self.socket.read(&mut self.input[self.filled..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => {
                    self.filled += count;
                    let whole = self.whole()?;
                    frames.extend_from_slice(&self.input[..whole]);
                    self.input.copy_within(whole..self.filled, 0);
                    self.filled -= whole;
                    if let Some(wanted) = frame_len(&self.input[..self.filled])?
                        && wanted > self.input.len()
                    {
                        self.input.resize(wanted.next_power_of_two(), 0);
                    }
                    if count < space && self.socket.is_plain() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Octets of whole messages at the front of the input.
    fn whole(&self) -> Result<usize, Box<dyn Error>> {
        let mut at = 0;
        while let Some(length) = frame_len(&self.input[at..self.filled])? {
            if at + length > self.filled {
                break;
            }
            at += length;
        }
        Ok(at)
    }
}

const fn slot_of(id: i32) -> usize {
    (id & ((1 << SLOT_BITS) - 1)) as usize
}

/// Octets of the message that starts here, once its header is there.
pub(crate) fn frame_len(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    match bytes {
        [] | [0x30] => Ok(None),
        [0x30, short, ..] if *short < 0x80 => Ok(Some(2 + usize::from(*short))),
        [0x30, long, rest @ ..] => {
            let count = usize::from(long & 0x7f);
            if count == 0 || count > 4 {
                return Err("the server sent a length that LDAP does not have");
            }
            let length = rest.get(..count);
            Ok(length.map(|octets| {
                2 + count + octets.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet))
            }))
        }
        _ => Err("the server sent what is not an LDAP message"),
    }
}
