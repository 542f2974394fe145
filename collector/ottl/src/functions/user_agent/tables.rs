//! What to look for, the most specific first: browsers name those that they are like.

/// A program or a system, and how it shows.
pub(super) struct Rule {
    /// A text that is there.
    pub(super) token: &'static str,
    /// What it is called.
    pub(super) name: &'static str,
    /// Texts that are there too.
    pub(super) with: &'static [&'static str],
    /// Texts that are not there.
    pub(super) without: &'static [&'static str],
    pub(super) version: Version,
}

/// Where the version stands.
pub(super) enum Version {
    None,
    /// Behind the token.
    Behind,
    /// Behind another text.
    Of(&'static str),
}

const fn rule(token: &'static str, name: &'static str) -> Rule {
    Rule { token, name, with: &[], without: &[], version: Version::Behind }
}

impl Rule {
    const fn with(mut self, with: &'static [&'static str]) -> Self {
        self.with = with;
        self
    }

    const fn without(mut self, without: &'static [&'static str]) -> Self {
        self.without = without;
        self
    }

    const fn version_of(mut self, token: &'static str) -> Self {
        self.version = Version::Of(token);
        self
    }

    const fn unversioned(mut self) -> Self {
        self.version = Version::None;
        self
    }
}

pub(super) const PROGRAMS: &[Rule] = &[
    // crawlers
    rule("Googlebot-Image", "Googlebot-Image"),
    rule("Googlebot-Video", "Googlebot-Video"),
    rule("Googlebot", "Googlebot"),
    rule("AdsBot-Google", "AdsBot-Google").unversioned(),
    rule("Mediapartners-Google", "Mediapartners-Google").unversioned(),
    rule("FeedFetcher-Google", "FeedFetcher-Google"),
    rule("bingbot", "bingbot"),
    rule("BingPreview", "BingPreview"),
    rule("msnbot", "msnbot"),
    rule("YandexBot", "YandexBot"),
    rule("YandexImages", "YandexImages"),
    rule("Baiduspider", "Baiduspider"),
    rule("DuckDuckBot", "DuckDuckBot"),
    rule("Yahoo! Slurp", "Yahoo! Slurp").unversioned(),
    rule("Applebot", "Applebot"),
    rule("AhrefsBot", "AhrefsBot"),
    rule("SemrushBot", "SemrushBot"),
    rule("MJ12bot", "MJ12bot"),
    rule("DotBot", "DotBot"),
    rule("PetalBot", "PetalBot"),
    rule("Bytespider", "Bytespider"),
    rule("GPTBot", "GPTBot"),
    rule("ChatGPT-User", "ChatGPT-User"),
    rule("ClaudeBot", "ClaudeBot"),
    rule("CCBot", "CCBot"),
    rule("facebookexternalhit", "FacebookBot"),
    rule("Twitterbot", "Twitterbot"),
    rule("LinkedInBot", "LinkedInBot"),
    rule("Slackbot-LinkExpanding", "Slackbot-LinkExpanding"),
    rule("Slackbot", "Slackbot"),
    rule("TelegramBot", "TelegramBot").unversioned(),
    rule("Discordbot", "Discordbot"),
    rule("WhatsApp", "WhatsApp"),
    rule("Pinterestbot", "Pinterestbot"),
    rule("UptimeRobot", "UptimeRobot"),
    rule("Pingdom.com_bot_version_", "PingdomBot"),
    rule("archive.org_bot", "archive.org_bot"),
    rule("ia_archiver", "ia_archiver"),
    // applications that embed a browser
    rule("FBAV/", "Facebook"),
    rule("FBAN/", "Facebook").version_of("FBAV/"),
    rule("Instagram", "Instagram"),
    rule("Pinterest", "Pinterest").with(&["Mozilla"]),
    rule("Snapchat", "Snapchat"),
    rule("MicroMessenger/", "WeChat"),
    rule("Slack/", "Slack Desktop Client").with(&["Electron"]),
    rule("Slack_SSB/", "Slack Desktop Client"),
    // browsers built on others
    rule("EdgiOS/", "Edge Mobile"),
    rule("EdgA/", "Edge Mobile"),
    rule("Edge/", "Edge Mobile").with(&["Mobile"]),
    rule("Edge/", "Edge"),
    rule("Edg/", "Edge"),
    rule("OPiOS/", "Opera Mini"),
    rule("Opera Mini/", "Opera Mini"),
    rule("OPR/", "Opera Mobile").with(&["Mobile"]),
    rule("OPR/", "Opera"),
    rule("Opera/", "Opera Mobile").with(&["Opera Mobi"]).version_of("Version/"),
    rule("Opera/", "Opera").with(&["Version/"]).version_of("Version/"),
    rule("Opera/", "Opera"),
    rule("Opera ", "Opera"),
    rule("SamsungBrowser/", "Samsung Internet"),
    rule("UCBrowser/", "UC Browser"),
    rule("UCBrowser", "UC Browser"),
    rule("YaBrowser/", "Yandex Browser"),
    rule("Vivaldi/", "Vivaldi"),
    rule("Whale/", "Whale"),
    rule("MiuiBrowser/", "MiuiBrowser"),
    rule("DuckDuckGo/", "DuckDuckGo Mobile").with(&["Mobile"]),
    rule("Silk/", "Amazon Silk"),
    rule("PaleMoon/", "Pale Moon"),
    rule("SeaMonkey/", "SeaMonkey"),
    rule("Maxthon/", "Maxthon"),
    rule("QQBrowser/", "QQ Browser"),
    rule("Puffin/", "Puffin"),
    rule("brave/", "Brave"),
    rule("Brave/", "Brave"),
    rule("Otter/", "Otter"),
    rule("Spotify/", "Spotify"),
    rule("Konqueror/", "Konqueror"),
    rule("Galeon/", "Galeon"),
    rule("Epiphany/", "Epiphany"),
    rule("Camino/", "Camino"),
    rule("Netscape/", "Netscape"),
    rule("Netscape6/", "Netscape"),
    rule("NetFront/", "NetFront"),
    rule("PhantomJS/", "PhantomJS"),
    rule("Electron/", "Electron"),
    rule("HeadlessChrome", "HeadlessChrome"),
    rule("CriOS/", "Chrome Mobile iOS"),
    rule("FxiOS/", "Firefox iOS"),
    rule("Chromium/", "Chromium"),
    rule("GSA/", "Google"),
    // the large browsers
    rule("Chrome/", "Chrome Mobile WebView").with(&["; wv)"]),
    rule("Chrome/", "Chrome Mobile").with(&["Mobile"]),
    rule("Chrome/", "Chrome"),
    rule("Firefox/", "Firefox Mobile").with(&["Mobile"]),
    rule("Firefox/", "Firefox Mobile").with(&["Tablet"]),
    rule("Firefox/", "Firefox"),
    rule("IEMobile/", "IE Mobile"),
    rule("IEMobile ", "IE Mobile"),
    rule("MSIE ", "IE"),
    rule("Trident/", "IE").version_of("rv:"),
    rule("Android", "Android").with(&["AppleWebKit"]),
    rule("Version/", "Mobile Safari").with(&["Safari/", "Mobile/"]),
    rule("Safari/", "Mobile Safari").with(&["Mobile/"]).unversioned(),
    rule("Mobile/", "Mobile Safari UI/WKWebView").with(&["AppleWebKit"]).unversioned(),
    rule("Version/", "Safari").with(&["Safari/"]),
    rule("Safari/", "Safari").unversioned(),
    // programs
    rule("curl/", "curl"),
    rule("Lynx/", "Lynx"),
    rule("Links (", "Links"),
    rule("ELinks/", "ELinks"),
    rule("Pinterest/", "Pinterest"),
    rule("Wget/", "Wget"),
    rule("python-requests/", "Python Requests"),
    rule("Python-urllib/", "Python-urllib"),
    rule("aiohttp/", "aiohttp"),
    rule("python-httpx/", "python-httpx"),
    rule("Go-http-client/", "Go-http-client"),
    rule("okhttp/", "okhttp"),
    rule("Apache-HttpClient/", "Apache-HttpClient"),
    rule("Java/", "Java"),
    rule("axios/", "axios"),
    rule("node-fetch/", "node-fetch"),
    rule("PostmanRuntime/", "PostmanRuntime"),
    rule("kube-probe/", "kube-probe"),
    rule("Prometheus/", "Prometheus"),
    rule("GuzzleHttp/", "GuzzleHttp"),
    rule("libwww-perl/", "libwww-perl"),
    rule("ApacheBench/", "ApacheBench"),
];

pub(super) const SYSTEMS: &[Rule] = &[
    rule("Windows Phone OS ", "Windows Phone"),
    rule("Windows Phone ", "Windows Phone"),
    rule("Xbox", "Windows").unversioned(),
    rule("Tizen", "Tizen"),
    rule("Web0S", "webOS").unversioned(),
    rule("webOS", "webOS").unversioned(),
    rule("KAIOS/", "KaiOS"),
    rule("Android ", "Android"),
    rule("Android", "Android"),
    rule("CPU iPhone OS ", "iOS"),
    rule("CPU OS ", "iOS"),
    rule("iPhone OS ", "iOS"),
    rule("iPhone", "iOS").version_of("iOS "),
    rule("iPad", "iOS").version_of("iOS "),
    rule("iOS ", "iOS"),
    rule("iOS/", "iOS"),
    rule("tvOS/", "tvOS"),
    rule("watchOS ", "WatchOS"),
    rule("Darwin/", "Mac OS X").with(&["x86_64"]).unversioned(),
    rule("Darwin/", "iOS").with(&["CFNetwork/"]).unversioned(),
    rule("Mac OS X ", "Mac OS X"),
    rule("Mac OS X", "Mac OS X").unversioned(),
    rule("Macintosh", "Mac OS X").with(&["AppleWebKit"]).unversioned(),
    rule("BlackBerry", "BlackBerry OS").unversioned(),
    rule("SymbianOS/", "Symbian OS"),
    rule("CrOS ", "Chrome OS").unversioned(),
    rule("Ubuntu", "Ubuntu"),
    rule("Fedora", "Fedora"),
    rule("Debian", "Debian"),
    rule("FreeBSD", "FreeBSD").unversioned(),
    rule("OpenBSD", "OpenBSD").unversioned(),
    rule("Linux", "Linux").without(&["compatible; Googlebot"]).unversioned(),
];

/// Windows by the version of its kernel.
pub(super) const WINDOWS: &[(&str, &str)] = &[
    ("10.0", "10"),
    ("6.4", "10"),
    ("6.3", "8.1"),
    ("6.2", "8"),
    ("6.1", "7"),
    ("6.0", "Vista"),
    ("5.2", "XP"),
    ("5.1", "XP"),
    ("5.0", "2000"),
    ("4.0", "NT 4.0"),
];

/// Windows by its name, from before it told the version of its kernel.
pub(super) const OLD_WINDOWS: &[(&str, &str)] = &[
    ("Windows XP", "XP"),
    ("Windows 2000", "2000"),
    ("Win 9x 4.90", "ME"),
    ("Windows ME", "ME"),
    ("Windows 98", "98"),
    ("Win98", "98"),
    ("Windows 95", "95"),
    ("Win95", "95"),
    ("Windows CE", "CE"),
];
