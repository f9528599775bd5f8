//! What a check costs compared with the library alone, and the memory of each remembered ending. On
//! Linux, which says what a thread and a process used: `cargo run --release -p
//! auth-service-verifier --example check_cost`
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_service_verifier::{Check, OnUnsure, Options, Verifier};
use chrono::DateTime;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::Deserialize;
use serde_json::json;

const SECRET: &str = "access-secret-of-the-tests-0123456789abcdef";
const CHECKS: u32 = 50_000;
const ENDINGS: usize = 500_000;

/// What a service reads of a token.
#[derive(Deserialize)]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Claims {
    sub: String,
    sid: String,
    iat: i64,
    exp: i64,
    role: Option<String>,
    acr: Option<String>,
    amr: Vec<String>,
    auth_time: Option<i64>,
}

fn uuid(number: usize) -> String {
    format!("0198c1a2-3b4d-7a10-9c2b-{number:012x}")
}

#[expect(clippy::disallowed_methods, reason = "tokens are signed now")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let before = resident();
    let verifier = Verifier::new(Options {
        issuer: "auth-service".to_owned(),
        secrets: vec![SECRET.to_owned()],
        api_key: Some("ak_a_b".to_owned()),
        revocations_url: Some(serve_endings()),
        max_staleness: Some(Duration::from_secs(3600)),
        on_unsure: OnUnsure::Refuse,
        ..Options::default()
    })
    .unwrap();
    while verifier.status().remembered < ENDINGS || !verifier.status().up_to_date {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let bytes = (resident() - before) / ENDINGS;

    let claims = json!({
        "iss": "auth-service", "sub": uuid(1), "sid": uuid(1 << 40), "stk": uuid(3), "role": "PRO",
        "client_id": "auth-service", "auth_time": now(), "amr": ["pwd"], "acr": "aal1", "iat": now(),
        "exp": now() + 3600, "jti": "one",
    });
    let header = Header { typ: Some("at+jwt".to_owned()), kid: Some("a".to_owned()), ..Header::default() };
    let token = encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&["auth-service"]);
    validation.set_required_spec_claims(&["iss", "sub", "exp"]);

    let mut library = async || assert!(decode::<Claims>(&token, &key, &validation).is_ok());
    let check = Check::default();
    let mut verify = async || assert!(verifier.verify(&token, &check).await.is_ok());
    let (mut alone, mut following) = (Vec::new(), Vec::new());
    // They take turns, so that a busy moment affects both.
    for _ in 0..7 {
        alone.push(micros(&mut library).await);
        following.push(micros(&mut verify).await);
    }
    let (alone, following) = (median(alone), median(following));
    let ratio = following / alone;
    println!("library alone {alone:.2} µs, verifier {following:.2} µs: {ratio:.2} ×");
    println!("an ending {bytes} bytes");
}

/// CPU of a check.
async fn micros(check: &mut impl AsyncFnMut()) -> f64 {
    let began = nanoseconds();
    for _ in 0..CHECKS {
        check().await;
    }
    (nanoseconds() - began) as f64 / 1000.0 / f64::from(CHECKS)
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// That this thread has run.
fn nanoseconds() -> u64 {
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    used.split(' ').next().unwrap().parse().unwrap()
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let used = std::fs::read_to_string("/proc/self/statm").unwrap();
    used.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// An auth service at which many sessions have ended; gives the address of its `/revocations`.
fn serve_endings() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/revocations", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            // The verifier may be gone.
            let _ = tell(socket);
        }
    });
    url
}

fn tell(mut socket: TcpStream) -> std::io::Result<()> {
    let _ = socket.read(&mut [0; 4096])?;
    socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
    let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339();
    let reset = json!({ "since": time(now() - 3600) });
    socket.write_all(format!("event: reset\ndata: {reset}\n\n").as_bytes())?;
    let expiry = time(now() + 3600);
    for number in 0..ENDINGS {
        let session = uuid(number);
        let ending = json!({
            "sessionId": session, "userId": "ada", "reason": "logout", "tokensExpireAt": expiry,
        });
        socket.write_all(format!("data: {ending}\n\n").as_bytes())?;
    }
    loop {
        socket.write_all(b"event: heartbeat\nid: a\ndata: {\"elapsedMs\":1}\n\n")?;
        std::thread::sleep(Duration::from_millis(200));
    }
}
