//! The HTTP port: `/alive`, `/healthy`, `/metrics`. Nothing of the directory's data is to be had here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::listener::{Endpoint, is_admitted};
use super::socket;
use super::tls::strength;
use crate::access::Privilege;
use crate::session::Internal;
use crate::telemetry::CONTENT_TYPE as PROMETHEUS;

/// Connections at once; more wait in the backlog.
const MOST: usize = 64;
/// How long a request's head may take to come, and a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of a request's head.
const HEAD: usize = 16 * 1024;

/// Accepts until the port is closed.
pub(super) async fn accept(
    socket: Arc<TcpListener>,
    endpoint: Arc<Endpoint>,
    health: Arc<Health>,
    closing: CancellationToken,
) {
    let seats = Arc::new(Semaphore::new(MOST));
    loop {
        let accepted = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, socket.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            biased;
            () = closing.cancelled() => return,
            accepted = accepted => accepted,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (endpoint, health, closing) = (Arc::clone(&endpoint), Arc::clone(&health), closing.clone());
        let tasks = endpoint.house.tasks.clone();
        tasks.spawn(async move {
            let _seat = seat;
            tokio::select! {
                () = serve(stream, address, &endpoint, health) => {}
                () = closing.cancelled() => {}
            }
        });
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, endpoint: &Endpoint, health: Arc<Health>) {
    let address = socket::plain(address);
    let Some(listener) = endpoint.listener() else { return };
    if !is_admitted(&listener, address.ip()).await {
        return;
    }
    socket::tune(&stream, &listener);
    drop(listener);
    match endpoint.tls.load_full() {
        Some(tls) if endpoint.implicit_tls => {
            let handshake = TlsAcceptor::from(tls.current()).accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, handshake).await {
                let bits = strength(stream.get_ref().1);
                converse(stream, Client { address, bits }, health).await;
            }
        }
        _ => converse(stream, Client { address, bits: 0 }, health).await,
    }
}

#[derive(Clone, Copy)]
struct Client {
    address: SocketAddr,
    bits: u16,
}

async fn converse<S>(stream: S, client: Client, health: Arc<Health>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let health = Arc::clone(&health);
        async move { Ok::<_, Infallible>(answer(&request, client, &health).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(address = %client.address, %error, "an HTTP connection ended");
    }
}

async fn answer(request: &Request<Incoming>, client: Client, health: &Health) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/alive" => report(request, client, health, &health.alive()).await,
        "/healthy" => report(request, client, health, &health.healthy()).await,
        "/metrics" | "/metrics/prometheus" => numbers(request, client, health).await,
        _ => text(StatusCode::NOT_FOUND, "there are /alive, /healthy and /metrics\n"),
    }
}

/// The numbers are for who has the privilege.
async fn numbers(request: &Request<Incoming>, client: Client, health: &Health) -> Response<Full<Bytes>> {
    let is_allowed = match request.headers().get(AUTHORIZATION) {
        Some(credentials) => may_monitor(credentials, client, health).await,
        None => false,
    };
    if !is_allowed {
        return unauthorized();
    }
    let mut answer = text(StatusCode::OK, health.exposition());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS));
    answer
}

fn unauthorized() -> Response<Full<Bytes>> {
    let mut answer = text(StatusCode::UNAUTHORIZED, "");
    let how = HeaderValue::from_static("Basic realm=\"ctsd monitoring (bind DN)\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, how);
    answer
}

/// The status is for everybody, the reasons are for who has the privilege.
async fn report(
    request: &Request<Incoming>,
    client: Client,
    health: &Health,
    faults: &[String],
) -> Response<Full<Bytes>> {
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let Some(credentials) = request.headers().get(AUTHORIZATION) else { return text(status, "") };
    if !may_monitor(credentials, client, health).await {
        return unauthorized();
    }
    let reasons: Vec<String> = faults.iter().map(|fault| json_text(fault)).collect();
    let mut answer = text(status, format!("[{}]\n", reasons.join(",")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Basic authentication with a bind DN and its password.
async fn may_monitor(credentials: &HeaderValue, client: Client, health: &Health) -> bool {
    let decoded = credentials
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Basic "))
        .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok());
    let Some(decoded) = decoded.map(zeroize::Zeroizing::new) else { return false };
    let mut parts = decoded.splitn(2, |octet| *octet == b':');
    let (Some(dn), Some(password)) = (parts.next(), parts.next()) else { return false };
    let Ok(dn) = std::str::from_utf8(dn) else { return false };
    let directory = &health.house.directory;
    let anonymous = directory.anonymous(client.address.ip(), client.bits);
    let who = Internal::authenticate(directory, anonymous, dn, password).await;
    who.is_some_and(|who| who.privileges.has(Privilege::MonitorRead))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A JSON string.
fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_json() {
        assert_eq!(json_text("a \"b\" \\c\nd"), "\"a \\\"b\\\" \\\\c d\"");
    }
}
