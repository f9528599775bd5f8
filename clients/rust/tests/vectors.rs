//! Every verifier gives the same results for the same tokens.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use auth_service_verifier::{Check, OnUnsure, Options, Verifier};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Serves the keys on a free port, for as long as the test runs.
async fn key_server(keys: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", keys.len());
            let _ = socket.write_all(format!("{head}{keys}").as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn every_vector_gets_its_answer() {
    let content = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors.json")).unwrap();
    let file: Value = serde_json::from_str(&content).unwrap();
    let url = key_server(file["jwks"].to_string()).await;
    let secrets: Vec<String> = file["secrets"].as_array().unwrap().iter().map(text).collect();
    let verifier = |name: &str| {
        let (jwks_url, secrets) = match name {
            "secret" => (None, vec![text(&file["secret"])]),
            "secrets" => (None, secrets.clone()),
            _ => (Some(url.clone()), Vec::new()),
        };
        let (issuer, audience) = (text(&file["issuer"]), Some(text(&file["audience"])));
        let on_unsure = OnUnsure::Accept;
        Verifier::new(Options { issuer, audience, jwks_url, secrets, on_unsure, ..Options::default() })
            .unwrap()
    };
    let (secret, both, published) = (verifier("secret"), verifier("secrets"), verifier("jwks"));
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() > 150);
    for vector in vectors {
        let verifier = match vector["verify"].as_str().unwrap() {
            "secret" => &secret,
            "secrets" => &both,
            _ => &published,
        };
        let answer = verifier.verify(vector["token"].as_str().unwrap(), &Check::default()).await;
        let name = &vector["name"];
        if vector["accepted"].as_bool().unwrap() {
            assert_eq!(answer.unwrap().session_id, "01a20a5b-847b-755a-8579-4e203a2758dd", "{name}");
        } else {
            let refusal = answer.unwrap_err();
            let code = vector["code"].as_str().unwrap();
            assert_eq!(
                (u64::from(refusal.status), refusal.code.as_str()),
                (vector["status"].as_u64().unwrap(), code),
                "{name}"
            );
            assert_eq!(
                refusal.www_authenticate.as_deref(),
                Some(r#"Bearer error="invalid_token""#),
                "{name}"
            );
        }
    }
}
