//! What is right, what is wrong, what other systems hashed, and what is refused when too much waits.

use super::*;

fn password(text: &str) -> Password {
    Password::parse_attempt(text.to_owned()).unwrap()
}

fn pool(cost: u32, workers: usize, queue: usize) -> PasswordPool {
    let config = PasswordConfig {
        bcrypt_cost: cost,
        queue,
        workers,
        min_length: 8,
        context_words: Vec::new(),
        breach_url: None,
    };
    PasswordPool::start(&config, Metrics::new().unwrap()).unwrap()
}

#[test]
fn length_is_counted_in_characters_below_and_bytes_above() {
    assert!(Password::parse_new("ääääääää".into()).is_ok());
    assert!(matches!(Password::parse_new("äääääää".into()), Err(FieldProblem::TooShort)));
    assert!(Password::parse_new("ä".repeat(36)).is_ok());
    assert!(matches!(Password::parse_new("ä".repeat(37)), Err(FieldProblem::TooLong)));
    assert!(matches!(Password::parse_attempt("a\0b".into()), Err(FieldProblem::Invalid)));
}

#[tokio::test]
async fn right_wrong_and_unknown() {
    let pool = pool(4, 2, 8);
    let hash = pool.hash(password("correct horse")).await.unwrap();
    let right = pool.verify(password("correct horse"), Some(hash.clone())).await.unwrap();
    assert!(matches!(right, Verdict::Right { rehashed: None }));
    assert!(matches!(pool.verify(password("battery"), Some(hash)).await.unwrap(), Verdict::Wrong));
    assert!(matches!(pool.verify(password("battery"), None).await.unwrap(), Verdict::Wrong));
}

#[tokio::test]
async fn hashes_of_other_systems_are_checked_or_refused() {
    let pool = pool(4, 1, 8);
    let own = pool.hash(password("correct horse")).await.unwrap();
    for name in ["$2a$", "$2b$", "$2y$"] {
        let hash = PasswordHash::parse(&own.expose().replace("$2b$", name)).unwrap();
        let right = pool.verify(password("correct horse"), Some(hash.clone())).await.unwrap();
        assert!(matches!(right, Verdict::Right { .. }), "{name}");
        assert!(matches!(pool.verify(password("battery"), Some(hash)).await.unwrap(), Verdict::Wrong));
    }
    assert_eq!(PasswordHash::parse(""), Err(FieldProblem::Required));
    let cut = &own.expose()[..59];
    let cases =
        [cut, "correct horse", "$argon2id$v=19$m=1,t=2,p=1$abc$abc", "$1$abc$def", "$2b$04$", "$2b$4$"];
    for text in cases {
        assert_eq!(PasswordHash::parse(text), Err(FieldProblem::Invalid), "{text}");
    }
    for wrong in ["$2x$04$", "$2b$03$", "$2b$32$"] {
        let text = own.expose().replace("$2b$04$", wrong);
        assert_eq!(PasswordHash::parse(&text), Err(FieldProblem::Invalid), "{wrong}");
    }
}

#[tokio::test]
async fn a_hash_of_another_cost_is_made_anew() {
    let old = pool(4, 1, 8).hash(password("correct horse")).await.unwrap();
    let Verdict::Right { rehashed: Some(new) } =
        pool(5, 1, 8).verify(password("correct horse"), Some(old)).await.unwrap()
    else {
        panic!("a new hash was expected");
    };
    assert_eq!(new.cost(), Some(5));
}

#[test]
fn a_cheap_hash_takes_as_long_as_an_unknown_account() {
    for (is, wanted) in [(4, 10), (9, 10), (10, 10), (4, 4), (5, 14)] {
        let made_up: u64 = missing_costs(is, wanted).map(|cost| 1 << cost).sum();
        assert_eq!((1 << is) + made_up, 1_u64 << wanted, "{is} instead of {wanted}");
    }
    // A more costly one cannot be made cheaper.
    assert_eq!(missing_costs(12, 10).count(), 0);
}

#[tokio::test]
async fn a_wrong_password_is_wrong_whatever_the_cost_of_the_hash() {
    let old = pool(4, 1, 8).hash(password("correct horse")).await.unwrap();
    assert!(matches!(pool(6, 1, 8).verify(password("battery"), Some(old)).await.unwrap(), Verdict::Wrong));
}

#[tokio::test]
async fn beyond_the_queue_is_refused_and_the_rest_is_served() {
    let pool = pool(8, 1, 2);
    let asks = (0..20).map(|_| pool.hash(password("correct horse")));
    let results = futures_util::future::join_all(asks).await;
    let refused = results.iter().filter(|result| **result == Err(PasswordError::Overloaded)).count();
    assert!((17..=18).contains(&refused), "{refused} of 20 were refused");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 20 - refused);
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!("{:?} {:?}", password("correct horse"), PasswordHash::from_stored("$2b$04$x".into()));
    assert_eq!(shown, "Password(hidden) PasswordHash(hidden)");
}

#[test]
fn a_password_has_one_other_form_at_the_most() {
    let other = |text: &str| Password(text.to_owned()).in_other_form().map(|other| other.0);
    assert_eq!(other("p\u{e4}ssword").as_deref(), Some("pa\u{308}ssword"));
    assert_eq!(other("pa\u{308}ssword").as_deref(), Some("p\u{e4}ssword"));
    assert_eq!(other("password"), None);
    assert_eq!(other("пароль"), None, "both forms are alike");
    // Two bytes each as one character, three as two: bcrypt would not see all of it.
    assert_eq!(other(&"\u{e4}".repeat(30)), None);
    assert_eq!(other(&"\u{e4}".repeat(24)).map(|other| other.len()), Some(72));
}
