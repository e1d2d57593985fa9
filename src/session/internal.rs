//! A client inside the process: `setup` writes its entries the way any client does, through the operations.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::access::{AuthMethod, Limits, Origin, Privilege, Privileges, Requester};
use crate::ber::frame::{Cut, cut};
use crate::operation::{self, Call, Connection, Directory, Flight, Served};
use crate::protocol::message::{MessageId, ModifyOperation};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::protocol::{decode, request, response};
use crate::schema::NormalizedDn;

/// A client that holds all privileges a root user has.
pub struct Internal {
    directory: Arc<Directory>,
    requester: Arc<Requester>,
}

/// Keeps the one answer.
#[derive(Default)]
struct Answer {
    bytes: Mutex<BytesMut>,
    arrived: Notify,
    /// Who has bound.
    who: Mutex<Option<Arc<Requester>>>,
}

impl Connection for Answer {
    fn send(&self, encode: &mut dyn FnMut(&mut BytesMut)) {
        encode(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }

    fn queued(&self) -> usize {
        0
    }

    fn poll_room(&self, _context: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(true)
    }

    fn disconnect(&self, _notice: LdapResult) {}

    fn authenticate(&self, requester: Arc<Requester>) {
        *self.who.lock().unwrap_or_else(PoisonError::into_inner) = Some(requester);
    }
}

/// An attribute by name, with its values.
pub type NamedValues<'a> = (&'a str, Vec<&'a [u8]>);

impl Internal {
    /// A client that acts as `dn`.
    pub fn new(directory: Arc<Directory>, dn: &str) -> Self {
        let key =
            NormalizedDn::parse(dn, &directory.schema.current()).unwrap_or_else(|_| NormalizedDn::root());
        let privileges = Privileges::root_defaults().with(Privilege::BypassAcl);
        let limits = Limits { size: 0, time: 0, lookthrough: 0, idle: 0 };
        let origin = Origin {
            method: AuthMethod::Simple,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            security_strength: 256,
        };
        Self { directory, requester: Arc::new(Requester::new(dn, key, privileges, limits, origin)) }
    }

    /// Adds an entry.
    pub async fn add(&self, dn: &str, attributes: &[NamedValues<'_>]) -> LdapResult {
        let attributes: Vec<request::Attribute<'_>> =
            attributes.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        self.ask(|out, id| request::add(out, id, dn, &attributes, &[])).await
    }

    /// Adds values to an entry.
    pub async fn add_values(&self, dn: &str, name: &str, values: &[&[u8]]) -> LdapResult {
        self.ask(|out, id| request::modify(out, id, dn, &[(ModifyOperation::Add, (name, values))], &[])).await
    }

    /// Whom a bind with this password makes of an anonymous client; none if it fails.
    pub async fn authenticate(
        directory: &Arc<Directory>,
        anonymous: Arc<Requester>,
        dn: &str,
        password: &[u8],
    ) -> Option<Arc<Requester>> {
        let client = Self { directory: Arc::clone(directory), requester: anonymous };
        let answer = Arc::new(Answer::default());
        let result = client.exchange(&answer, |out, id| request::bind(out, id, dn, password, &[])).await;
        let who = answer.who.lock().unwrap_or_else(PoisonError::into_inner).take();
        who.filter(|who| result.code == ResultCode::SUCCESS && !who.is_anonymous())
    }

    async fn ask(&self, encode: impl FnOnce(&mut BytesMut, MessageId)) -> LdapResult {
        self.exchange(&Arc::new(Answer::default()), encode).await
    }

    async fn exchange(
        &self,
        answer: &Arc<Answer>,
        encode: impl FnOnce(&mut BytesMut, MessageId),
    ) -> LdapResult {
        let mut frame = BytesMut::new();
        encode(&mut frame, MessageId(1));
        let request = match decode::decode(frame.freeze(), &decode::Limits::default()) {
            Ok(request) => request,
            Err(error) => return LdapResult::with(ResultCode::PROTOCOL_ERROR, error.to_string()),
        };
        let call = Call {
            directory: Arc::clone(&self.directory),
            connection: Arc::clone(answer) as Arc<dyn Connection>,
            requester: Arc::clone(&self.requester),
            request,
            flight: Arc::new(Flight::alone(MessageId(1))),
            connection_number: 0,
            operation_number: 0,
            arrived: self.directory.clock.monotonic(),
        };
        match operation::serve(call) {
            Served::Answered => {}
            Served::Before(task) | Served::Beside(task) => task.await,
        }
        loop {
            let mut bytes = std::mem::take(&mut *answer.bytes.lock().unwrap_or_else(PoisonError::into_inner));
            if let Ok(Cut::Message(message)) = cut(&mut bytes, usize::MAX)
                && let Ok(decoded) = response::decode(&message)
                && let Some(result) = decoded.response.result()
            {
                return result.clone();
            }
            answer.arrived.notified().await;
        }
    }
}
