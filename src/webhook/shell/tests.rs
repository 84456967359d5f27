//! What is connected to, what is sent, and that no answer, however hostile, is more than a status or a failure.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::Redirect,
    routing::post,
};
use futures::stream;
use proptest::prelude::*;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::api;

type Heard = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Another system, and what it has heard at `/yes`.
async fn serve() -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let yes = move |headers: HeaderMap, body: Bytes| {
        hears
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((headers, body));
        async { "yes" }
    };
    let hangs = || async {
        let first = stream::once(async { Ok::<_, io::Error>("{") });
        Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
    };
    let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>("x".repeat(1024)))) };
    let app = Router::new()
        .route("/yes", post(yes))
        .route("/no", post(|| async { (StatusCode::FORBIDDEN, "not on Fridays") }))
        .route("/elsewhere", post(|| async { Redirect::temporary("/yes") }))
        .route("/hangs", post(hangs))
        .route("/endless", post(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, heard)
}

fn to(address: SocketAddr, path: &str) -> Post {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Post {
        namespace: "shop".to_owned(),
        url: Url::parse(&format!("http://gate.shop.svc{path}")).unwrap(),
        to: To::Addresses(vec![address]),
        timeout: api::Duration::from_millis(300),
        key: "k".to_owned(),
        body: json!({"kind": "Gate"}),
        signing_key: None,
        authorities: None,
    }
}

async fn ask(post: Post) -> Result<u16, String> {
    WebhookClient::default().post(post).await.map_err(|failure| {
        assert!(!failure.hidden().contains("gate") && !failure.hidden().contains("localhost"));
        failure.full()
    })
}

#[tokio::test]
async fn answers_are_their_status_and_slow_ones_are_none() {
    let (address, _) = serve().await;
    let ask = |path: &str| ask(to(address, path));
    assert_eq!(ask("/yes").await, Ok(200));
    assert_eq!(ask("/no").await, Ok(403));
    assert_eq!(ask("/elsewhere").await, Ok(307), "redirects are not followed");
    assert_eq!(ask("/endless").await, Ok(200), "it is not read to its end");
    assert_eq!(ask("/hangs").await, Err("no whole answer within 300ms".to_owned()));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = super::tests::ask(to(closed, "/secret")).await.unwrap_err();
    assert!(refused.starts_with("cannot be reached: "), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn the_name_is_sent_and_not_asked_for_and_what_is_sent_is_signed() {
    let (address, heard) = serve().await;
    let mut post = to(address, ":81/yes");
    post.signing_key = Some(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec());
    assert_eq!(ask(post.clone()).await, Ok(200));
    let (headers, body) = heard.lock().unwrap().remove(0);
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("host"), "gate.shop.svc:81");
    assert_eq!(
        (header("webhook-id"), header("idempotency-key")),
        ("k".to_owned(), "k".to_owned())
    );
    let seconds: i64 = header("webhook-timestamp").parse().unwrap();
    assert!((Timestamp::now().as_second() - seconds).abs() < 60);
    let key = post.signing_key.clone().unwrap();
    let expected = signature::of(&key, "k", seconds, &body).unwrap();
    assert_eq!(
        (header("webhook-signature"), &body[..]),
        (expected, &br#"{"kind":"Gate"}"#[..])
    );

    post.signing_key = Some(Vec::new());
    assert_eq!(ask(post.clone()).await, Err("the signing key is empty".to_owned()));
    post.signing_key = None;
    assert_eq!(ask(post).await, Ok(200));
    let (headers, _) = heard.lock().unwrap().remove(0);
    assert!(!headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn certificates_that_are_none_are_told() {
    let (address, _) = serve().await;
    let mut post = to(address, "/yes");
    post.url.set_scheme("https").unwrap();
    for pem in [
        &b""[..],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"\xff\xfe",
    ] {
        post.authorities = Some(pem.to_vec());
        assert_eq!(
            ask(post.clone()).await,
            Err("what caFrom names holds no certificates as PEM".to_owned())
        );
    }
}

#[tokio::test]
async fn what_a_name_leads_to_is_looked_at_and_nothing_is_added_to_the_name() {
    let post = Post {
        to: To::Name(Policy::default(), Trust::Named),
        ..to(([127, 0, 0, 1], 80).into(), "/yes")
    };
    let refused = ask(post).await.unwrap_err();
    assert!(refused.starts_with("cannot be reached: "), "{refused}");
    assert_eq!(absolute("hooks.example.com"), "hooks.example.com.");
    assert_eq!(absolute("hooks.example.com."), "hooks.example.com.");

    let policy = Policy {
        api_server: vec![[10, 0, 0, 2].into()],
        ..Policy::default()
    };
    let led = |addresses: &[&str], trust| {
        let found = addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 0));
        let left = allowed(found.collect(), &policy, trust).map_err(|error| error.to_string());
        left.map(|left| left.iter().map(SocketAddr::ip).collect::<Vec<IpAddr>>())
    };
    let public: IpAddr = [93, 184, 216, 34].into();
    assert_eq!(
        led(&["127.0.0.1", "93.184.216.34", "10.0.0.2"], Trust::Matched),
        Ok(vec![public])
    );
    assert_eq!(led(&["10.0.0.3"], Trust::Named), Ok(vec![[10, 0, 0, 3].into()]));
    for (address, trust, why) in [
        ("127.0.0.1", Trust::Named, "a loopback address"),
        ("10.0.0.2", Trust::Named, "the API server"),
        ("10.0.0.3", Trust::Matched, "an address of a private network"),
    ] {
        let refused = led(&[address], trust).unwrap_err();
        assert!(
            refused.starts_with("its name leads to ") && refused.contains(why),
            "{refused}"
        );
    }
}

/// Answers the first request with these bytes and closes the connection.
async fn answered_with(answer: Vec<u8>) -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).await;
        let _ = connection.write_all(&answer).await;
    });
    ask(to(address, "/yes")).await
}

/// Pieces of answers, and what no server sends.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "HTTP/1.1 ",
        "HTTP/2 ",
        "200 OK\r\n",
        "100 Continue\r\n\r\n",
        "99999 \r\n",
        "-1\r\n",
        "000\r\n",
        "content-length: 5\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: -5\r\n",
        "transfer-encoding: chunked\r\n",
        "\r\n",
        "\r\n\r\n",
        "ffffffffffffffff\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "location: http://169.254.169.254/\r\n",
        "x: \0\r\n",
        "connection: upgrade\r\n",
    ]);
    prop_oneof![
        4 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => (1_usize..100_000).prop_map(|length| vec![b'a'; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_hostile_answer_is_a_status_or_a_failure(pieces in prop::collection::vec(piece(), 0..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(answered_with(pieces.concat()));
        match answer {
            Ok(status) => prop_assert!((100..1000).contains(&status)),
            Err(why) => prop_assert!(!why.is_empty() && why.chars().count() <= 200 && !why.contains("gate.shop")),
        }
    }
}
