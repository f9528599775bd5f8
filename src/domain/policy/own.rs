//! The policy that an operator set for one user: its values take precedence over those of the user's role.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AtLimit, Policy};

/// Only what differs from the role's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct OwnPolicy {
    /// A session ends after this long without activity.
    pub idle_timeout: Option<Duration>,
    /// A session ends this long after it was opened.
    pub lifetime: Option<Duration>,
    /// Most live sessions.
    pub max_sessions: Option<u32>,
    /// What a login beyond that does.
    pub at_limit: Option<AtLimit>,
}

/// The policy as JSON; unknown members are ignored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_timeout_minutes: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_lifetime_hours: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_sessions: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_sessions_policy: Option<AtLimit>,
}

/// A member of a policy that is out of its range, by its name in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is out of range")]
pub struct OutOfRange(pub &'static str);

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// The ranges are those of the settings with the same names.
impl TryFrom<Text> for OwnPolicy {
    type Error = OutOfRange;

    fn try_from(text: Text) -> Result<Self, OutOfRange> {
        let duration = |name, value: Option<f64>, unit: f64, range: std::ops::RangeInclusive<f64>| {
            let Some(value) = value else { return Ok(None) };
            let milliseconds = (value * unit * 1000.0).round();
            if range.contains(&value) {
                Ok(Some(Duration::from_millis(milliseconds as u64)))
            } else {
                Err(OutOfRange(name))
            }
        };
        if text.max_sessions.is_some_and(|most| !(1..=1000).contains(&most)) {
            return Err(OutOfRange("maxSessions"));
        }
        Ok(Self {
            idle_timeout: duration(
                "sessionTimeoutMinutes",
                text.session_timeout_minutes,
                MINUTE,
                0.001..=525_600.0,
            )?,
            lifetime: duration("sessionLifetimeHours", text.session_lifetime_hours, HOUR, 0.0001..=87_600.0)?,
            max_sessions: text.max_sessions,
            at_limit: text.max_sessions_policy,
        })
    }
}

impl From<OwnPolicy> for Text {
    fn from(policy: OwnPolicy) -> Self {
        Self {
            session_timeout_minutes: policy.idle_timeout.map(|it| it.as_secs_f64() / MINUTE),
            session_lifetime_hours: policy.lifetime.map(|it| it.as_secs_f64() / HOUR),
            max_sessions: policy.max_sessions,
            max_sessions_policy: policy.at_limit,
        }
    }
}

impl OwnPolicy {
    /// The role's policy, with the values of this one in place of its own.
    #[must_use]
    pub fn applied_to(&self, role: &Policy) -> Policy {
        Policy {
            idle_timeout: self.idle_timeout.unwrap_or(role.idle_timeout),
            lifetime: self.lifetime.unwrap_or(role.lifetime),
            max_sessions: self.max_sessions.map_or(role.max_sessions, |most| most as usize),
            at_limit: self.at_limit.unwrap_or(role.at_limit),
            ..role.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
        let text = r#"{"sessionTimeoutMinutes":0.05,"sessionLifetimeHours":12.0,"maxSessions":2,"maxSessionsPolicy":"reject"}"#;
        let policy: OwnPolicy = serde_json::from_str(text).unwrap();
        assert_eq!(policy.idle_timeout, Some(Duration::from_secs(3)));
        assert_eq!(policy.lifetime, Some(Duration::from_secs(12 * 3600)));
        assert_eq!((policy.max_sessions, policy.at_limit), (Some(2), Some(AtLimit::Reject)));
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        assert_eq!(serde_json::from_str::<OwnPolicy>("{\"colour\":1}").unwrap(), OwnPolicy::default());
    }

    #[test]
    fn what_no_setting_could_be_is_refused() {
        for text in [
            r#"{"sessionTimeoutMinutes":0}"#,
            r#"{"sessionLifetimeHours":1e9}"#,
            r#"{"maxSessions":0}"#,
            r#"{"maxSessions":1001}"#,
            r#"{"maxSessionsPolicy":"evict"}"#,
        ] {
            serde_json::from_str::<OwnPolicy>(text).unwrap_err();
        }
    }
}
