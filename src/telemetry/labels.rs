//! Label values that are known in advance, so that metrics can show them at zero.

/// What `operations` counts: method and pattern of a route that changes something, and its name.
pub const OPERATIONS: &[(&str, &str, &str)] = &[
    ("POST", "/signup", "signup"),
    ("POST", "/login", "login"),
    ("POST", "/refresh", "refresh"),
    ("POST", "/logout", "logout"),
    ("POST", "/activity", "activity"),
    ("DELETE", "/sessions/{id}", "terminate_session"),
    ("DELETE", "/sessions/all", "terminate_others"),
];

/// Why a session may end, as the events and `sessions_ended` name it.
pub const END_REASONS: &[&str] = &[
    "logout",
    "terminated",
    "evicted",
    "replaced",
    "idle_timeout",
    "expired",
    "credentials_changed",
    "refresh_token_reused",
    "user_deleted",
];

/// The limits that `rate_limited` distinguishes.
pub const LIMITS: &[&str] = &[
    "login",
    "login_failures",
    "signup",
    "refresh",
    "api",
    "connections",
    "messages",
    "verify",
    "admin",
    "mail",
    "mail_requests",
    "code_failures",
];

/// The outcomes of a request to `/verify`.
pub const VERIFICATIONS: &[&str] =
    &["allowed", "unauthenticated", "redirected", "forbidden", "limited", "invalid", "unavailable"];

/// The outcomes of an attempt to send a mail, as `mails` names them.
pub const MAIL_OUTCOMES: &[&str] = &["sent", "failed", "expired", "dropped", "deferred"];

/// The public channels, as `events_published` names them.
pub const CHANNELS: &[&str] = &[
    "auth:user.registered",
    "auth:user.login",
    "auth:user.logout",
    "auth:session.created",
    "auth:session.terminated",
    "auth:session.deleted",
    "auth:sessions.bulk_terminated",
    "auth:session.activity_updated",
    "auth:token.refreshed",
    "auth:user.updated",
    "auth:user.deleted",
];
