use phoenix_config::{Described, GoDuration, Problems};
use serde::Deserialize;

/// The highest level of a class.
pub(crate) const MAX_LEVEL: u8 = 6;
/// The highest level of a class that is protected.
pub(crate) const MAX_PROTECTED: u8 = 2;

/// Rules with `at_level` are carried out as far as it takes to keep to targets.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ControlSettings {
    /// What is to be kept to; at least one.
    pub targets: TargetSettings,
    /// How the level is found.
    pub law: LawName,
    /// The classes of rules, in the order in which they give something up. The gentle levels of all come before the harsh ones
    /// of any.
    pub classes: Vec<ClassSettings>,
    /// More is given up above this share of a target.
    pub up: f64,
    /// Less is given up once what is expected then is at most this share of the target.
    pub down: f64,
    /// For so many intervals in a row; law `bands`.
    pub intervals: u32,
    /// The time between a change and the next one that gives up more.
    pub cooldown: GoDuration,
    /// The time between a change and the next one that gives up less; at least `idle`, so that series do not flap.
    pub dwell: GoDuration,
    /// Settings of the law `aimd`.
    pub aimd: AimdSettings,
    /// Settings of the law `pi`.
    pub pi: PiSettings,
}

/// What is to be kept to; 0 for what does not matter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSettings {
    /// Different series within two intervals.
    pub series: u64,
    /// Data points a minute.
    pub points_per_minute: u64,
    /// Bytes a second, uncompressed.
    pub bytes_per_second: u64,
    /// The load of the host, as the mean length of its run queue (over a minute) for each processor.
    pub load: f64,
}

/// How the level is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum LawName {
    /// One step up when over the target for some intervals, one down when what is expected then is well below.
    #[default]
    Bands,
    /// What is allowed is cut at once and given back little by little.
    Aimd,
    /// Proportional and integral, for what reacts at once: points and bytes.
    Pi,
}

/// A class of rules.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ClassSettings {
    /// The name, as rules have it in `class`.
    #[described(required)]
    pub name: String,
    /// Its rules never drop anything, and have levels 1 and 2 only.
    pub protected: bool,
}

/// Settings of the law `aimd`.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AimdSettings {
    /// By what is multiplied what is allowed when over a target.
    pub cut: f64,
    /// What is added to it otherwise, as a share of everything.
    pub add: f64,
}

/// Settings of the law `pi`.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct PiSettings {
    /// Steps for each change of the error, which is a share of the target.
    pub proportional: f64,
    /// Steps for the error, each minute.
    pub integral: f64,
}

impl Default for ControlSettings {
    fn default() -> ControlSettings {
        ControlSettings {
            targets: TargetSettings::default(),
            law: LawName::Bands,
            classes: vec![ClassSettings { name: "default".to_owned(), protected: false }],
            up: 1.0,
            down: 0.8,
            intervals: 3,
            cooldown: GoDuration::from_secs(120),
            dwell: GoDuration::from_secs(1200),
            aimd: AimdSettings::default(),
            pi: PiSettings::default(),
        }
    }
}

impl Default for AimdSettings {
    fn default() -> AimdSettings {
        AimdSettings { cut: 0.5, add: 0.1 }
    }
}

impl Default for PiSettings {
    fn default() -> PiSettings {
        PiSettings { proportional: 1.0, integral: 0.5 }
    }
}

impl ControlSettings {
    pub(crate) fn validate(&self, problems: &mut Problems, interval: GoDuration, idle: GoDuration) {
        let TargetSettings { series, points_per_minute, bytes_per_second, load } = self.targets;
        let has_one = series > 0 || points_per_minute > 0 || bytes_per_second > 0 || load > 0.0;
        problems.require(has_one, "targets", "needs at least one target");
        problems.require(load.is_finite() && load >= 0.0, "targets::load", "must not be negative");
        problems.require(self.up > 0.0 && self.up <= 2.0, "up", "must be above 0 and at most 2");
        problems.require(self.down > 0.0, "down", "must be above 0");
        problems.require(
            self.down <= 0.9 * self.up,
            "down",
            "must be at most 0.9 of `up`, so that nothing flaps",
        );
        problems.require(self.intervals > 0, "intervals", "must be at least 1");
        let twice = interval.as_nanos().saturating_mul(2);
        problems.require(
            self.cooldown.as_nanos() >= twice,
            "cooldown",
            "must be at least twice the processor's `interval`: before, nothing is measured of a change",
        );
        problems.require(self.dwell >= idle, "dwell", "must be at least the processor's `idle`");
        problems.require(!self.classes.is_empty(), "classes", "needs at least one class");
        for (index, class) in self.classes.iter().enumerate() {
            let key = format!("classes::{index}::name");
            problems.require(!class.name.is_empty(), &key, "must not be empty");
            let repeated = self.classes[..index].iter().any(|other| other.name == class.name);
            problems.require(!repeated, &key, "is there twice");
        }
        let AimdSettings { cut, add } = self.aimd;
        problems.require(cut > 0.0 && cut < 1.0, "aimd::cut", "must be between 0 and 1");
        problems.require(add > 0.0 && add <= 1.0, "aimd::add", "must be above 0 and at most 1");
        let PiSettings { proportional, integral } = self.pi;
        problems.require(
            proportional.is_finite() && proportional >= 0.0,
            "pi::proportional",
            "must not be negative",
        );
        problems.require(integral.is_finite() && integral > 0.0, "pi::integral", "must be above 0");
    }
}
