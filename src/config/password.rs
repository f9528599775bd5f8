//! What hashing a password may cost, and how many requests may wait for it.
//!
//! It must never let production run with a cheap hash silently.

use super::http::cores;
use super::setting::{Form, Preset, Setting};
use super::source::Source;
use super::{Environment, origin};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "BCRYPT_COST",
        Form::Number(4, 31),
        Preset::Value("12"),
        "bcrypt's work factor. A password hashed at another cost is hashed again at its next login.",
    )
    .note("under 10 in production is warned about"),
    Setting::new(
        "PASSWORD_QUEUE",
        Form::Number(1, 100_000),
        Preset::Told("as many as are hashed in about 10 s, 64 to 4096"),
        "Passwords that may wait to be hashed. One more is answered 503.",
    ),
    Setting::new(
        "PASSWORD_WORKERS",
        Form::Number(1, 1024),
        Preset::Told("one per processor"),
        "Passwords hashed at the same time.",
    ),
    Setting::new(
        "PASSWORD_MIN_LENGTH",
        Form::Number(8, 64),
        Preset::Value("8"),
        "Fewest characters of a new password.",
    ),
    Setting::new(
        "PASSWORD_CONTEXT_WORDS",
        Form::Other("list", "words of at least 3 characters"),
        Preset::Unset,
        "Names that a new password must not be made of, such as those of the company and its products; `SERVICE_NAME` is one.",
    ),
    Setting::new(
        "PASSWORD_BREACH_URL",
        Form::Other("URL", "`http(s)://HOST[:PORT][/PATH]`, to which `/` and 5 digits are added"),
        Preset::Unset,
        "List of passwords known from breaches, in the range form of Pwned Passwords \
         (`https://api.pwnedpasswords.com/range`). Where it does not answer within 1 s a password is accepted, and counted.",
    ),
];

/// The lowest work factor without a warning in production (OWASP Password Storage Cheat Sheet).
const SAFE_COST: u32 = 10;

/// The password pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordConfig {
    /// bcrypt's work factor, as a power of two.
    pub bcrypt_cost: u32,
    /// How many passwords may wait for a worker; one more is refused.
    pub queue: usize,
    /// How many passwords are hashed at once.
    pub workers: usize,
    /// Fewest characters of a new password.
    pub min_length: usize,
    /// Words that a new password must not be made of.
    pub context_words: Vec<String>,
    /// The service to query for passwords known from breaches, without a trailing slash.
    pub breach_url: Option<String>,
}

impl PasswordConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let bcrypt_cost = source.integer("BCRYPT_COST");
        if environment.is_production() && bcrypt_cost < SAFE_COST {
            source.warn(format!(
                "BCRYPT_COST is {bcrypt_cost}; under {SAFE_COST} a stolen hash is soon guessed"
            ));
        }
        let workers = source.integer_or("PASSWORD_WORKERS", cores());
        let queue = source.integer_or("PASSWORD_QUEUE", queue_of(bcrypt_cost, workers));
        PasswordConfig {
            bcrypt_cost,
            queue,
            workers,
            min_length: source.integer("PASSWORD_MIN_LENGTH"),
            context_words: context_words(source),
            breach_url: breach_url(source),
        }
    }
}

fn context_words(source: &mut Source<'_>) -> Vec<String> {
    let words: Vec<_> = source.list("PASSWORD_CONTEXT_WORDS").into_iter().map(str::to_owned).collect();
    for word in words.iter().filter(|word| word.chars().count() < 3) {
        source.refuse("PASSWORD_CONTEXT_WORDS", word, "words of at least 3 characters, comma-separated");
    }
    source.list_value("PASSWORD_CONTEXT_WORDS", words.join(","));
    words
}

fn breach_url(source: &mut Source<'_>) -> Option<String> {
    let url = source.text("PASSWORD_BREACH_URL").map(|url| url.trim_end_matches('/').to_owned());
    if let Some(given) = url.as_deref().filter(|url| !is_http(url)) {
        source.refuse("PASSWORD_BREACH_URL", given, "http(s)://HOST[:PORT][/PATH]");
    }
    source.list_value("PASSWORD_BREACH_URL", url.clone().unwrap_or_default());
    url
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host =
        rest.and_then(|rest| rest.split('/').next()).and_then(origin::split_port).map(|(host, _)| host);
    host.is_some_and(origin::is_host)
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte))
}

/// As many hashes as are computed in about ten seconds, which is as long as anybody waits for a login; a hash
/// of cost 12 takes about a quarter of a second. At least 64.
fn queue_of(cost: u32, workers: usize) -> usize {
    let in_ten_seconds = (40_usize << 12) >> cost.min(31);
    workers.saturating_mul(in_ten_seconds).clamp(64, 4_096)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, production, refused};

    #[test]
    fn the_queue_is_as_long_as_people_wait() {
        let queue = |cost| parse(&[("BCRYPT_COST", cost), ("PASSWORD_WORKERS", "2")]).password.queue;
        assert_eq!((queue("12"), queue("10"), queue("4"), queue("31")), (80, 320, 4_096, 64));
    }

    #[test]
    fn rules_for_new_ones() {
        let rules = parse(&[("PASSWORD_CONTEXT_WORDS", "Acme, Anvil")]).password;
        assert_eq!((rules.min_length, rules.context_words), (8, vec!["Acme".to_owned(), "Anvil".to_owned()]));
        let url = parse(&[("PASSWORD_BREACH_URL", "https://pwned.example/range/")]).password.breach_url;
        assert_eq!(url.as_deref(), Some("https://pwned.example/range"));
        for (name, value) in [
            ("PASSWORD_MIN_LENGTH", "7"),
            ("PASSWORD_MIN_LENGTH", "65"),
            ("PASSWORD_CONTEXT_WORDS", "ab"),
            ("PASSWORD_BREACH_URL", "pwned.example"),
        ] {
            assert_eq!(refused(&[(name, value)]), [name], "{value}");
        }
    }

    #[test]
    fn the_cost_has_bounds_and_a_cheap_one_is_told_in_production() {
        assert_eq!(parse(&[("BCRYPT_COST", "4")]).password.bcrypt_cost, 4);
        assert_eq!(parse(&[("BCRYPT_COST", "31")]).password.bcrypt_cost, 31);
        assert_eq!(refused(&[("BCRYPT_COST", "3")]), ["BCRYPT_COST"]);
        assert_eq!(refused(&[("BCRYPT_COST", "32")]), ["BCRYPT_COST"]);
        let warned = |cost| {
            let warnings = parse(&production(&[("BCRYPT_COST", cost)])).warnings;
            warnings.iter().any(|warning| warning.contains("BCRYPT_COST"))
        };
        assert_eq!((warned("9"), warned("10")), (true, false));
    }
}
