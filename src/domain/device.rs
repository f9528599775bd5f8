//! How a session is described in the list of devices: read from the User-Agent, never trusted for a
//! decision.

mod named;

use std::hash::{Hash, Hasher};
use std::ops::Deref;

use internment::ArcIntern;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use woothee::parser::Parser;

use super::field_problem::FieldProblem;
use super::text::is_presentable;

/// Most characters of a User-Agent that are stored.
pub const USER_AGENT_MAX_CHARS: usize = 512;
/// Most characters of a device name.
pub const DEVICE_NAME_MAX_CHARS: usize = 100;

/// What kind of device the client runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceType {
    /// A computer.
    Desktop,
    /// A phone or a tablet.
    Mobile,
    /// A program that identifies itself as a bot.
    Bot,
    /// Not recognised.
    Unknown,
}

impl DeviceType {
    /// The name used in answers, events and rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
        }
    }

    /// The type with that name; [`DeviceType::Unknown`] for anything else.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "desktop" => Self::Desktop,
            "mobile" => Self::Mobile,
            "bot" => Self::Bot,
            _ => Self::Unknown,
        }
    }
}

/// A device description, interned: it is in memory once, however many sessions were opened on such a
/// device, since one browser version says the same on every machine. Cheap to copy and to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device(ArcIntern<Known>);

impl Device {
    /// The device with that description.
    #[must_use]
    pub fn new(info: DeviceInfo) -> Self {
        let json = to_raw_value(&info).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self(ArcIntern::new(Known { info, json }))
    }
}

impl Deref for Device {
    type Target = DeviceInfo;

    fn deref(&self) -> &DeviceInfo {
        &self.0.info
    }
}

/// Serialized as its prepared JSON.
impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(serializer)
    }
}

/// A description with its JSON, which is the longest part of a session's JSON and would otherwise be
/// escaped again for each answer.
#[derive(Debug)]
struct Known {
    info: DeviceInfo,
    json: Box<RawValue>,
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.info == other.info
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.info.hash(state);
    }
}

/// A device as its owner recognises it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    /// The name given at login, or one made from browser and system.
    pub name: Option<Box<str>>,
    /// Browser, such as `Firefox`.
    pub browser: Option<Box<str>>,
    /// Operating system, such as `Linux`.
    pub os: Option<Box<str>>,
    /// Kind of device.
    pub device_type: DeviceType,
    /// The header itself, truncated to [`USER_AGENT_MAX_CHARS`].
    pub user_agent: Option<Box<str>>,
}

impl DeviceInfo {
    /// Reads a User-Agent; `name` is what the client calls the device, if anything.
    #[must_use]
    pub fn from_user_agent(user_agent: Option<&str>, name: Option<String>) -> Self {
        Self::from_request(user_agent, None, name)
    }

    /// The same, with what a client hint (`Sec-CH-UA-Platform-Version`) says about the system.
    #[must_use]
    pub fn from_request(
        user_agent: Option<&str>,
        platform_version: Option<&str>,
        name: Option<String>,
    ) -> Self {
        let user_agent = user_agent.map(kept).filter(|text| !text.is_empty());
        let named = user_agent.as_deref().map(named::find).unwrap_or_default();
        let found =
            user_agent.as_deref().filter(|_| !named.is_all).and_then(|text| Parser::new().parse(text));
        let browser = named.browser.map(Box::from).or_else(|| found.as_ref().and_then(|it| known(it.name)));
        let os = named.os.map(Box::from).or_else(|| found.as_ref().and_then(|it| known(it.os)));
        let os = match os.as_deref() {
            Some("Windows 10") if named::is_windows_11(platform_version) => Some("Windows 11".into()),
            _ => os,
        };
        let device_type = found.as_ref().map_or(DeviceType::Unknown, |found| match found.category {
            "pc" => DeviceType::Desktop,
            "smartphone" | "mobilephone" => DeviceType::Mobile,
            "crawler" => DeviceType::Bot,
            _ => DeviceType::Unknown,
        });
        let device_type = named.device_type.unwrap_or(device_type);
        let name = name.map(String::into_boxed_str).or_else(|| described(browser.as_deref(), os.as_deref()));
        Self { name, browser, os, device_type, user_agent: user_agent.map(String::into_boxed_str) }
    }
}

/// A trimmed device name of at most 100 characters without control characters; `None` if nothing is left.
///
/// # Errors
/// [`FieldProblem`]: why it cannot be stored.
pub fn parse_device_name(text: &str) -> Result<Option<String>, FieldProblem> {
    let name = text.trim();
    match name {
        "" => Ok(None),
        name if name.chars().any(char::is_control) || !is_presentable(name) => Err(FieldProblem::Invalid),
        name if name.chars().count() > DEVICE_NAME_MAX_CHARS => Err(FieldProblem::TooLong),
        name => Ok(Some(name.to_owned())),
    }
}

fn kept(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(USER_AGENT_MAX_CHARS).collect()
}

fn known(value: &str) -> Option<Box<str>> {
    (!value.is_empty() && value != "UNKNOWN").then(|| value.into())
}

fn described(browser: Option<&str>, os: Option<&str>) -> Option<Box<str>> {
    match (browser, os) {
        (Some(browser), Some(os)) => Some(format!("{browser} on {os}").into()),
        (Some(one), None) | (None, Some(one)) => Some(one.into()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 \
                          (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";

    #[test]
    fn browser_and_system_are_read() {
        let device = DeviceInfo::from_user_agent(Some(FIREFOX), None);
        assert_eq!(device.name.as_deref(), Some("Firefox on Linux"));
        assert_eq!(device.device_type, DeviceType::Desktop);
        let phone = DeviceInfo::from_user_agent(Some(IPHONE), Some("My phone".into()));
        assert_eq!(phone.name.as_deref(), Some("My phone"));
        assert_eq!(phone.device_type, DeviceType::Mobile);
    }

    #[test]
    fn nothing_known_is_nothing_claimed() {
        let device = DeviceInfo::from_user_agent(None, None);
        assert_eq!((device.name, device.browser, device.os), (None, None, None));
        assert_eq!(device.device_type, DeviceType::Unknown);
    }

    #[test]
    fn a_long_user_agent_is_cut() {
        let device = DeviceInfo::from_user_agent(Some(&"x".repeat(5000)), None);
        assert_eq!(device.user_agent.map(|ua| ua.len()), Some(USER_AGENT_MAX_CHARS));
    }
}
