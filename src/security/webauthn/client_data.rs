//! Client data (WebAuthn Level 3, section 5.8.1): what the browser says about the ceremony, covered by
//! the authenticator's signature.

use serde::Deserialize;

/// The ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceremony {
    Create,
    Get,
}

impl Ceremony {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    r#type: String,
    /// base64url, as it was issued.
    pub(super) challenge: String,
    pub(super) origin: String,
    #[serde(default)]
    cross_origin: Option<bool>,
    #[serde(default)]
    top_origin: Option<String>,
}

impl ClientData {
    /// Reads it, whatever other members it has, as section 5.8.1.2 requires.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        // "UTF-8 decode", which drops a byte order mark.
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        serde_json::from_str(std::str::from_utf8(json).ok()?).ok()
    }

    pub(super) fn is_of(&self, ceremony: Ceremony) -> bool {
        self.r#type == ceremony.type_name()
    }

    /// Whether it was made within a page of another origin, where a person cannot know whom they sign in to.
    pub(super) fn is_embedded(&self) -> bool {
        self.cross_origin == Some(true) || self.top_origin.is_some()
    }
}
