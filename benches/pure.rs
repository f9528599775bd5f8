//! The parts that depend on nothing: rules, tokens, events. Run with `cargo bench`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use auth_service::clock::new_uuid;
use auth_service::config::{JwtAlgorithm, Secret, TokenConfig};
use auth_service::domain::authentication::{Authentication, Methods};
use auth_service::domain::command::{EndOverdue, Open, RotateRefresh, decide};
use auth_service::domain::device::{Device, DeviceInfo};
use auth_service::domain::event::OpenedBy;
use auth_service::domain::ids::{SessionId, SessionToken, UserId};
use auth_service::domain::ledger::Ledger;
use auth_service::domain::policy::{AtLimit, Policy};
use auth_service::domain::session::Delivery;
use auth_service::domain::time::Timestamp;
use auth_service::domain::user::Role;
use auth_service::events::announcement::Announcer;
use auth_service::security::access_token::{AccessTokens, Grant};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const LIMIT: usize = 5;
const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

fn policy() -> Policy {
    Policy {
        idle_timeout: Duration::from_secs(300),
        lifetime: Duration::from_secs(86_400),
        remember_timeout: None,
        remember_lifetime: None,
        max_sessions: LIMIT,
        at_limit: AtLimit::EvictOldest,
        refresh_reuse_grace: Duration::from_secs(10),
        access_expiry: Duration::from_secs(900),
        warning: Some(Duration::from_secs(60)),
        idle_margin: Duration::from_secs(1),
    }
}

fn open() -> Open {
    Open {
        id: SessionId::new(new_uuid()),
        token: SessionToken::new(new_uuid()),
        device: Device::new(DeviceInfo::from_user_agent(Some(USER_AGENT), None)),
        ip_address: Some([203, 0, 113, 9].into()),
        occasion: OpenedBy::Login,
        methods: Methods::PASSWORD,
        remember: None,
        delivery: Delivery::default(),
        shown: None,
        ends: Vec::new(),
        replaces: Vec::new(),
    }
}

/// A user who has reached the limit of sessions.
fn full_ledger() -> Ledger {
    let mut ledger = Ledger::new(UserId::new(new_uuid()), Role::Starter, 1, NOW, Vec::new());
    for _ in 0..LIMIT {
        let decision = decide(&open(), &ledger, NOW, &policy());
        decision.events.iter().for_each(|event| ledger.apply(event));
    }
    ledger
}

fn rules(criterion: &mut Criterion) {
    let (ledger, policy) = (full_ledger(), policy());
    let login = open();
    criterion.bench_function("decide: a login that evicts", |bencher| {
        bencher.iter(|| decide(black_box(&login), &ledger, NOW, &policy));
    });
    let session = ledger.live().first().map_or_else(|| SessionId::new(new_uuid()), |session| session.id());
    let refresh = RotateRefresh { session, generation: 1 };
    criterion.bench_function("decide: a refresh", |bencher| {
        bencher.iter(|| decide(black_box(&refresh), &ledger, NOW, &policy));
    });
    criterion.bench_function("decide: nothing is overdue", |bencher| {
        bencher.iter(|| decide(black_box(&EndOverdue), &ledger, NOW, &policy));
    });
    let announcer = Announcer::new("auth-service", ledger.user, NOW);
    let events = decide(&login, &ledger, NOW, &policy).events;
    criterion.bench_function("announce: a login that evicts", |bencher| {
        bencher.iter(|| announcer.announce(black_box(&events)));
    });
    criterion.bench_function("device: from a User-Agent", |bencher| {
        bencher.iter(|| DeviceInfo::from_user_agent(black_box(Some(USER_AGENT)), None));
    });
    criterion.bench_function("time: in text", |bencher| bencher.iter(|| black_box(NOW).to_string()));
}

fn tokens(criterion: &mut Criterion) {
    let config = TokenConfig {
        issuer: "auth-service".to_owned(),
        client_id: "auth-service".to_owned(),
        audience: None,
        algorithm: JwtAlgorithm::HS256,
        access_secret: Secret::new("bench-access-secret-0123456789abcdefghijkl"),
        refresh_secret: Secret::new("bench-refresh-secret-0123456789abcdefghijk"),
        previous_access_secrets: Vec::new(),
        previous_refresh_secrets: Vec::new(),
        private_key_file: None,
        previous_key_files: Vec::new(),
        access_expiry: Duration::from_secs(900),
        refresh_expiry: Duration::from_secs(86_400),
        refresh_reuse_grace: Duration::from_secs(10),
    };
    let Ok(tokens) = AccessTokens::new(&config) else { return };
    let sign = || {
        let (user, session) = (UserId::new(new_uuid()), SessionId::new(new_uuid()));
        let grant = Grant {
            user,
            role: Role::Starter,
            session,
            token: SessionToken::new(new_uuid()),
            generation: 1,
            authentication: Authentication { at: NOW, methods: Methods::PASSWORD },
        };
        tokens.sign(grant, NOW)
    };
    criterion.bench_function("access token, HS256: signed", |bencher| bencher.iter(sign));
    let Ok(token) = sign() else { return };
    criterion.bench_function("access token: verified, shown before", |bencher| {
        bencher.iter(|| tokens.verify(black_box(token.expose()), NOW));
    });
    criterion.bench_function("access token, HS256: signed and verified for the first time", |bencher| {
        bencher.iter(|| sign().map(|token| tokens.verify(token.expose(), NOW)));
    });
}

criterion_group!(benches, rules, tokens);
criterion_main!(benches);
