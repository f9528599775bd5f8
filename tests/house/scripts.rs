//! What scripts promise to those that call them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The exit code of the load tests, with a program in place of k6 that ends with `code`.
fn load_tests_with(code: i32) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("k6");
    std::fs::write(&program, format!("#!/bin/sh\nexit {code}\n")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut run = Command::new(root.join("load-tests/run"));
    run.arg("smoke").env("K6", &program).env("BASE_URL", "http://127.0.0.1:1").current_dir(root);
    run.output().unwrap().status.code()
}

/// 99 is k6's own code for it: it tells a slow service from a test that could not run.
#[test]
fn a_broken_threshold_is_told_apart_from_a_failure() {
    assert_eq!([0, 99, 3].map(load_tests_with), [Some(0), Some(99), Some(1)]);
}

/// In the first step of a move unknown paths stay with the old application, so the gateway must know all of
/// ours.
#[test]
fn the_gateway_of_a_move_knows_every_public_path() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let site = std::fs::read_to_string(root.join("deploy/caddy/moves/legacy-fallback.caddy")).unwrap();
    let known: Vec<&str> = site
        .split(|c: char| c.is_whitespace() || c == '{' || c == '}')
        .filter_map(|word| word.find("/api/auth/").map(|at| &word[at + "/api/auth".len()..]))
        .collect();
    let document: serde_json::Value = serde_json::from_str(auth_service::http::OPENAPI).unwrap();
    let inside = ["/admin", "/metrics", "/introspect", "/revocations"];
    let missing: Vec<&String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|path| !inside.iter().any(|inside| path.starts_with(inside)))
        .filter(|path| {
            !known.iter().any(|known| match known.strip_suffix('*') {
                Some(folder) => path.starts_with(folder),
                None => path == known,
            })
        })
        .collect();
    assert!(missing.is_empty(), "legacy-fallback.caddy does not name {missing:?}");
}
