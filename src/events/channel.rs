//! The public channels; those between nodes are in `bus::internal`.

/// A public Redis channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A person signed up, or an operator created the account.
    UserRegistered,
    /// A person logged in.
    UserLogin,
    /// A person signed out.
    UserLogout,
    /// A session was opened.
    SessionCreated,
    /// A person ended a session from another device, or an operator did.
    SessionTerminated,
    /// A session ended in any other way; the message carries the reason.
    SessionDeleted,
    /// A person ended all other sessions; published after one `session.terminated` for each.
    SessionsBulkTerminated,
    /// A session was active; rate-limited, and the only event that is not durable.
    SessionActivityUpdated,
    /// A refresh token was rotated.
    TokenRefreshed,
    /// An account changed.
    UserUpdated,
    /// An account was deleted.
    UserDeleted,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 11] = [
        Self::UserRegistered,
        Self::UserLogin,
        Self::UserLogout,
        Self::SessionCreated,
        Self::SessionTerminated,
        Self::SessionDeleted,
        Self::SessionsBulkTerminated,
        Self::SessionActivityUpdated,
        Self::TokenRefreshed,
        Self::UserUpdated,
        Self::UserDeleted,
    ];

    /// The channel's name on Redis.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserRegistered => "auth:user.registered",
            Self::UserLogin => "auth:user.login",
            Self::UserLogout => "auth:user.logout",
            Self::SessionCreated => "auth:session.created",
            Self::SessionTerminated => "auth:session.terminated",
            Self::SessionDeleted => "auth:session.deleted",
            Self::SessionsBulkTerminated => "auth:sessions.bulk_terminated",
            Self::SessionActivityUpdated => "auth:session.activity_updated",
            Self::TokenRefreshed => "auth:token.refreshed",
            Self::UserUpdated => "auth:user.updated",
            Self::UserDeleted => "auth:user.deleted",
        }
    }

    /// The name of the event: the channel's without its prefix.
    #[must_use]
    pub fn event_name(self) -> &'static str {
        self.as_str().trim_start_matches("auth:")
    }
}
