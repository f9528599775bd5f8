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
