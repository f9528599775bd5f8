//! The codes: stable, one for each cause that a client can act on.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $detail:literal;)*) => {
        /// Why a request was not answered as asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $detail] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code itself.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status it goes with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The explanation for a developer.
            #[must_use]
            pub const fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)* }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST, "The body must be a JSON object, and each field must have the right type.";
    BadRequest = "bad_request", BAD_REQUEST, "Malformed HTTP request.";
    InvalidRequest = "invalid_request", BAD_REQUEST, "A parameter is missing, repeated or unknown.";
    InvalidCredentials = "invalid_credentials", UNAUTHORIZED, "The email address or the password is wrong.";
    TokenMissing = "token_missing", UNAUTHORIZED, "An access token is required.";
    TokenInvalid = "token_invalid", UNAUTHORIZED, "The access token is not valid.";
    TokenExpired = "token_expired", UNAUTHORIZED, "The access token has expired.";
    RefreshTokenMissing = "refresh_token_missing", UNAUTHORIZED, "A refresh token is required.";
    RefreshTokenInvalid = "refresh_token_invalid", UNAUTHORIZED, "The refresh token is not valid.";
    RefreshTokenExpired = "refresh_token_expired", UNAUTHORIZED, "The refresh token has expired.";
    RefreshTokenReused = "refresh_token_reused", UNAUTHORIZED, "An old refresh token was used again, so the session has ended.";
    SessionTerminated = "session_terminated", UNAUTHORIZED, "The session was ended from another device or by an administrator, or no longer exists.";
    SessionIdleTimeout = "session_idle_timeout", UNAUTHORIZED, "The session ended after a period of inactivity.";
    SessionExpired = "session_expired", UNAUTHORIZED, "The session reached its maximum age.";
    SessionLoggedOut = "session_logged_out", UNAUTHORIZED, "The session was signed out.";
    SessionEvicted = "session_evicted", UNAUTHORIZED, "The session ended to make room for a newer one.";
    InsufficientScope = "insufficient_scope", FORBIDDEN, "The credentials lack the scope that this needs.";
    LoginTicketInvalid = "login_ticket_invalid", UNAUTHORIZED, "The login ticket is unknown, used or expired, or the credentials have changed; sign in again.";
    SecondFactorRequired = "second_factor_required", UNAUTHORIZED, "Show a second factor to finish signing in.";
    SecondFactorEnrolmentRequired = "second_factor_enrolment_required", FORBIDDEN, "Set up a second factor to finish signing in.";
    EmailVerificationRequired = "email_verification_required", FORBIDDEN, "Enter the code that was mailed to you to finish signing in.";
    PasswordChangeRequired = "password_change_required", FORBIDDEN, "Choose a new password to finish signing in.";
    FactorBlocked = "factor_blocked", FORBIDDEN, "Too many codes in a row were wrong; use another method.";
    InsufficientRole = "insufficient_role", FORBIDDEN, "The user's role does not allow this.";
    InsufficientAcr = "insufficient_acr", FORBIDDEN, "This needs a session that was opened with more factors.";
    SessionReplaced = "session_replaced", UNAUTHORIZED, "The session ended because somebody signed in again in the same browser.";
    SessionCredentialsChanged = "session_credentials_changed", UNAUTHORIZED, "The session ended because the password was changed; sign in again.";
    FreshAuthenticationRequired = "fresh_authentication_required", UNAUTHORIZED, "Prove who you are once more, at /reauthenticate.";
    WrongPassword = "wrong_password", FORBIDDEN, "The password is wrong.";
    OriginNotAllowed = "origin_not_allowed", FORBIDDEN, "Requests from this origin are not allowed.";
    NotFound = "not_found", NOT_FOUND, "No such endpoint.";
    UserNotFound = "user_not_found", NOT_FOUND, "User not found.";
    SessionNotFound = "session_not_found", NOT_FOUND, "Session not found.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "This method is not allowed here.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request body did not arrive in time.";
    EmailTaken = "email_taken", CONFLICT, "An account with this email address already exists.";
    IdTaken = "id_taken", CONFLICT, "An account with this id already exists.";
    SessionLimitReached = "session_limit_reached", CONFLICT, "Session limit reached; end another session first.";
    LastAdmin = "last_admin", CONFLICT, "This is the last administrator; make another one first.";
    LastSignInMethod = "last_sign_in_method", CONFLICT, "This is the last way to sign in; add another one first.";
    NoSecondFactor = "no_second_factor", CONFLICT, "Set up a second factor first.";
    PasskeyExists = "passkey_exists", CONFLICT, "This passkey has been added already.";
    TooManyPasskeys = "too_many_passkeys", CONFLICT, "The account has as many passkeys as allowed; remove one first.";
    HeaderFieldsTooLarge = "header_fields_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is larger than 16 KiB.";
    ChangedMeanwhile = "changed_meanwhile", PRECONDITION_FAILED, "The account has changed since you last read it; read it again.";
    PreconditionRequired = "precondition_required", PRECONDITION_REQUIRED, "Send the ETag you last read in If-Match.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is larger than 16 KiB.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.";
    UpgradeRequired = "upgrade_required", UPGRADE_REQUIRED, "This endpoint accepts WebSocket handshakes only.";
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, "Some fields are not valid; see errors.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests; try again later.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "The service is overloaded; try again shortly.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service is temporarily unavailable; try again shortly.";
}

impl Code {
    /// The status in words: the title is the same for every occurrence of the code's status.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.status().canonical_reason().unwrap_or("Error")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_details_fit_a_header() {
        let distinct: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| !code.detail().contains(['"', '\\'])));
    }
}
