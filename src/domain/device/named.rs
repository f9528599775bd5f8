//! Clients that the User-Agent parser does not know by name: libraries of programs, consoles, HarmonyOS.

use super::DeviceType;

/// Programs whose User-Agent begins with their name.
const PROGRAMS: [(&str, &str); 22] = [
    ("okhttp/", "OkHttp"),
    ("Dart/", "Dart"),
    ("axios/", "axios"),
    ("PostmanRuntime/", "Postman"),
    ("insomnia/", "Insomnia"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("HTTPie/", "HTTPie"),
    ("xh/", "xh"),
    ("python-requests/", "Python Requests"),
    ("python-httpx/", "HTTPX"),
    ("Python-urllib/", "Python urllib"),
    ("Go-http-client/", "Go"),
    ("Java-http-client/", "Java"),
    ("Java/", "Java"),
    ("Apache-HttpClient/", "Apache HttpClient"),
    ("ktor-client", "Ktor"),
    ("node-fetch", "node-fetch"),
    ("undici", "undici"),
    ("node", "Node.js"),
    ("got ", "got"),
    ("reqwest/", "reqwest"),
];
const PLAYSTATIONS: [&str; 4] = ["PlayStation 5", "PlayStation 4", "PlayStation Vita", "PlayStation 3"];

/// What a User-Agent says about browser, system and kind of device; each is set only if it is recognised
/// here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) browser: Option<&'static str>,
    pub(super) os: Option<&'static str>,
    pub(super) device_type: Option<DeviceType>,
    /// Whether the User-Agent has nothing else to find.
    pub(super) is_all: bool,
}

/// Looks for the clients listed in this file.
pub(super) fn find(user_agent: &str) -> Named {
    if let Some((_, program)) = PROGRAMS.iter().find(|(name, _)| begins_with(user_agent, name)) {
        return Named { browser: Some(program), is_all: true, ..Named::default() };
    }
    // A browser names its system in the first pair of brackets.
    let brackets = user_agent.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let system = brackets.map_or("", |(system, _)| system);
    if let Some(os) = PLAYSTATIONS.into_iter().find(|name| system.contains(name)) {
        return Named { os: Some(os), is_all: true, ..Named::default() };
    }
    if system.contains("HarmonyOS") || system.contains("OpenHarmony") {
        return harmony(user_agent, system);
    }
    Named::default()
}

/// "node" is one name and "nodejs-mobile" another; most names in the list end with their separator.
fn begins_with(user_agent: &str, name: &str) -> bool {
    let Some((start, rest)) = user_agent.split_at_checked(name.len()) else { return false };
    let is_whole = !name.ends_with(char::is_alphanumeric) || !rest.starts_with(char::is_alphanumeric);
    start.eq_ignore_ascii_case(name) && is_whole
}

fn harmony(user_agent: &str, system: &str) -> Named {
    let is_mobile = ["Phone", "Tablet", "Android"].iter().any(|word| system.contains(word))
        || user_agent.contains("Mobile");
    let browser = match user_agent {
        text if text.contains("HuaweiBrowser/") => Some("Huawei Browser"),
        text if text.contains("ArkWeb/") => Some("ArkWeb"),
        _ => None,
    };
    let device_type = if is_mobile { DeviceType::Mobile } else { DeviceType::Desktop };
    Named { browser, os: Some("HarmonyOS"), device_type: Some(device_type), is_all: false }
}

/// Whether a client hint indicates Windows 11, whose User-Agent says Windows 10: platform versions from
/// 13 on.
pub(super) fn is_windows_11(platform_version: Option<&str>) -> bool {
    let version = platform_version.map(|text| text.trim().trim_matches('"'));
    let major = version.and_then(|text| text.split('.').next()).and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 13)
}

#[cfg(test)]
mod tests {
    use super::super::DeviceInfo;
    use super::*;

    fn told(user_agent: &str) -> (Option<String>, DeviceType) {
        let device = DeviceInfo::from_user_agent(Some(user_agent), None);
        (device.name.map(String::from), device.device_type)
    }

    #[test]
    fn programs_have_names() {
        for (user_agent, name) in [
            ("okhttp/4.12.0", "OkHttp"),
            ("Dart/3.5 (dart:io)", "Dart"),
            ("axios/1.7.2", "axios"),
            ("PostmanRuntime/7.39.0", "Postman"),
            ("node", "Node.js"),
            ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "node-fetch"),
            ("python-requests/2.32.3", "Python Requests"),
            ("Go-http-client/1.1", "Go"),
            ("curl/8.5.0", "curl"),
        ] {
            assert_eq!(told(user_agent), (Some(name.to_owned()), DeviceType::Unknown), "{user_agent}");
        }
        for other in ["nodejs-mobile", "javascript", "", "xhx"] {
            assert_eq!(find(other), Named::default(), "{other}");
        }
    }

    #[test]
    fn consoles_and_harmony_have_names() {
        let playstation = "Mozilla/5.0 (PlayStation; PlayStation 5/9.00) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                           Version/15.4 Safari/605.1.15";
        assert_eq!(told(playstation), (Some("PlayStation 5".to_owned()), DeviceType::Unknown));
        let old =
            "Mozilla/5.0 (PlayStation 4 11.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari";
        assert_eq!(told(old).0.as_deref(), Some("PlayStation 4"));
        let next = "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 \
                    Safari/537.36 ArkWeb/4.1.6.1 Mobile";
        assert_eq!(told(next), (Some("ArkWeb on HarmonyOS".to_owned()), DeviceType::Mobile));
        let huawei = "Mozilla/5.0 (Linux; Android 10; HarmonyOS; NOH-AN00) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/99.0.4844.88 HuaweiBrowser/12.1.1.321 Mobile Safari/537.36";
        assert_eq!(told(huawei), (Some("Huawei Browser on HarmonyOS".to_owned()), DeviceType::Mobile));
    }

    #[test]
    fn windows_11_shows_in_a_client_hint_alone() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/126.0.0.0 Safari/537.36";
        let os = |hint| DeviceInfo::from_request(Some(chrome), hint, None).os.map(String::from);
        assert_eq!(os(None).as_deref(), Some("Windows 10"));
        assert_eq!(os(Some("\"10.0.0\"")).as_deref(), Some("Windows 10"));
        assert_eq!(os(Some("\"15.0.0\"")).as_deref(), Some("Windows 11"));
        assert_eq!(os(Some("13")).as_deref(), Some("Windows 11"));
        assert_eq!(os(Some("garbage")).as_deref(), Some("Windows 10"));
    }
}
