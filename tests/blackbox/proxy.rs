//! The tests' own TCP proxy works as intended; otherwise the tests that use it would prove nothing.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::proxy::{Mode, Proxy};
use crate::support::time::Stopwatch;
use crate::support::{Client, TestApp, eventually};

async fn proxied() -> (TestApp, Proxy, Client) {
    let app = TestApp::start().await;
    let proxy = Proxy::to(app.address()).await;
    let client = Client::new(&format!("http://{}", proxy.address()));
    client.get("/health/live").await.expect(200);
    (app, proxy, client)
}

#[tokio::test]
async fn a_cut_line_is_closed_and_can_be_mended() {
    let (_app, proxy, client) = proxied().await;
    proxy.set(Mode::Cut);
    assert!(client.try_get("/health/live").await.is_err());
    proxy.set(Mode::Forward);
    eventually("the line is mended", Duration::from_secs(5), async || {
        let answer = client.try_get("/health/live").await;
        answer.map_err(|cause| cause.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_stalled_line_stays_open_and_silent_and_goes_on() {
    let (_app, proxy, client) = proxied().await;
    proxy.set(Mode::Stall);
    let mut waiting = Box::pin(client.get("/health/live"));
    assert!(timeout(Duration::from_millis(200), &mut waiting).await.is_err());
    proxy.set(Mode::Forward);
    waiting.await.expect(200);
}

#[tokio::test]
async fn a_slow_line_delays_both_ways() {
    let (_app, proxy, client) = proxied().await;
    proxy.set(Mode::Delay(Duration::from_millis(50)));
    let watch = Stopwatch::start();
    client.get("/health/live").await.expect(200);
    assert!(watch.elapsed() >= Duration::from_millis(100));
}
