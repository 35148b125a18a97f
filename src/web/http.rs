//! Requests over HTTP: the page, its files, and the way to a WebSocket.

use super::files;
use super::guard::Guard;
use super::host::Shared;
use super::socket::{self, MAX_HELLO_BYTES};
use axum::Router;
use axum::extract::{Extension, Path, Request, State, WebSocketUpgrade};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

/// Connections at once, with those that only load files; more are not answered until one ends.
const MAX_CONNECTIONS: usize = 256;
/// How long a request's head may take, and a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// The pause after the system refused a connection: it may be out of descriptors.
const REFUSED: Duration = Duration::from_millis(100);

/// The address that a connection came to.
#[derive(Clone, Copy)]
struct CameTo(IpAddr);

/// Answers browsers until the host ends.
pub(super) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, mut ended: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the page cannot be served: {error}"),
    };
    let app = app(&shared);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let (stream, place) = tokio::select! {
            _ = &mut ended => break,
            came = accept(&listener, &room) => came,
            Some(_) = connections.join_next() => continue,
        };
        let app = app.clone();
        connections.spawn(async move {
            if let Err(error) = answer(stream, app).await {
                log::debug!("a connection of the page ended: {error}");
            }
            drop(place);
        });
    }
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Never closed: the room is there for as long as the loop.
    let place = room.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                log::debug!("a connection of the page was refused: {error}");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, app: Router) -> Result<(), hyper::Error> {
    let came_to = stream.local_addr().map_or(IpAddr::from([0; 4]), |addr| addr.ip().to_canonical());
    // Latency is all that it costs.
    _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(app.layer(Extension(CameTo(came_to))));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
}

fn app(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/app/{name}", get(file))
        .route("/ws", get(upgrade))
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared.clone())
}

/// What holds for every request, and stands on every answer.
async fn guard(
    State(shared): State<Arc<Shared>>,
    Extension(CameTo(came_to)): Extension<CameTo>,
    request: Request,
    next: Next,
) -> Response {
    let host = text(request.headers(), &header::HOST).unwrap_or_default().to_owned();
    let origin = request.headers().get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?").to_owned());
    let origin = origin.as_deref();
    let is_own = shared.guard.is_own(&host, came_to);
    if is_own && !Guard::allows(origin, &host, &shared.pages) {
        shared.look_around().await;
    }
    let refusal = if !is_own {
        Some("This page answers to its own addresses only. Open it as http://127.0.0.1 or as it was printed.\n")
    } else if !Guard::allows(origin, &host, &shared.pages) {
        Some("This page talks to ringtalk's own pages only.\n")
    } else {
        None
    };
    let mut response = match refusal {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    protect(response.headers_mut(), &shared);
    response
}

fn protect(headers: &mut HeaderMap, shared: &Shared) {
    const FIXED: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&Guard::content_policy(&shared.pages)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

async fn page(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    if let Some(cookie) = uri.query().and_then(|query| shared.guard.cookie_for(query)) {
        // The token leaves the address bar, where it could be copied or photographed.
        return (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/".to_owned())])
            .into_response();
    }
    if let Some(refused) = without_cookie(&shared, &headers) {
        return refused;
    }
    let page = files::page(shared.token, &shared.net);
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

async fn file(State(shared): State<Arc<Shared>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = without_cookie(&shared, &headers) {
        return refused;
    }
    match files::file(&name) {
        Some((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn without_cookie(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    let cookies = text(headers, &header::COOKIE).unwrap_or_default();
    let why = "This page wants its token: open the address that was printed where it was started.\n";
    (!shared.guard.admits(cookies)).then(|| (StatusCode::FORBIDDEN, why).into_response())
}

/// The token comes in the first message: a page of another host, which has no cookie here, may come.
async fn upgrade(State(shared): State<Arc<Shared>>, socket: WebSocketUpgrade) -> Response {
    match shared.browsers.clone().try_acquire_owned() {
        Ok(place) => socket
            .max_message_size(MAX_HELLO_BYTES)
            .max_frame_size(MAX_HELLO_BYTES)
            .on_upgrade(move |socket| socket::converse(socket, shared, place)),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "Too many browsers are here.\n").into_response(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
