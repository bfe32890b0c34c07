//! The limits that can be changed while the service runs, and where each value comes from: the configuration, or an operator who
//! set it since. What an operator sets goes before the configuration, in every copy of the service, until it is given back.

use common::{
    config::{ByteSize, MIN_PACE, StreamConfig},
    time::Timestamp,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    Rate,
    Burst,
    MaxStreams,
    MaxStreamsPerClient,
    MaxUploads,
    MaxUploadsPerUser,
    Pace,
    EgressPerUserDay,
    EgressPerAddressDay,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 1 and more.
    Count,
    /// Bytes; 0 is no limit.
    Size,
    /// Bytes per second, [`MIN_PACE`] and more; 0 is no limit.
    Pace,
}

/// The largest count: of what is kept in 32 bits.
const MAX_COUNT: u64 = u32::MAX as u64;

/// The largest size: the database has signed numbers.
const MAX_SIZE: u64 = i64::MAX as u64;

impl Setting {
    pub const ALL: [Setting; 9] = [
        Setting::Rate,
        Setting::Burst,
        Setting::MaxStreams,
        Setting::MaxStreamsPerClient,
        Setting::MaxUploads,
        Setting::MaxUploadsPerUser,
        Setting::Pace,
        Setting::EgressPerUserDay,
        Setting::EgressPerAddressDay,
    ];

    /// In JSON and in the database.
    pub fn name(self) -> &'static str {
        self.described().0
    }

    /// In the configuration.
    pub fn key(self) -> &'static str {
        self.described().1
    }

    pub fn is_size(self) -> bool {
        self.kind() != Kind::Count
    }

    fn kind(self) -> Kind {
        self.described().2
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.name() == name)
    }

    fn described(self) -> (&'static str, &'static str, Kind) {
        match self {
            Setting::Rate => ("rate", "stream.rate", Kind::Count),
            Setting::Burst => ("burst", "stream.burst", Kind::Count),
            Setting::MaxStreams => ("maxStreams", "stream.max_streams", Kind::Count),
            Setting::MaxStreamsPerClient => ("maxStreamsPerClient", "stream.max_streams_per_client", Kind::Count),
            Setting::MaxUploads => ("maxUploads", "stream.max_uploads", Kind::Count),
            Setting::MaxUploadsPerUser => ("maxUploadsPerUser", "stream.max_uploads_per_user", Kind::Count),
            Setting::Pace => ("pace", "stream.pace", Kind::Pace),
            Setting::EgressPerUserDay => ("egressPerUserDay", "stream.egress_per_user_day", Kind::Size),
            Setting::EgressPerAddressDay => ("egressPerAddressDay", "stream.egress_per_address_day", Kind::Size),
        }
    }

    fn configured(self, config: &StreamConfig) -> u64 {
        match self {
            Setting::Rate => config.rate.into(),
            Setting::Burst => config.burst.into(),
            Setting::MaxStreams => config.max_streams as u64,
            Setting::MaxStreamsPerClient => config.max_streams_per_client as u64,
            Setting::MaxUploads => config.max_uploads as u64,
            Setting::MaxUploadsPerUser => config.max_uploads_per_user as u64,
            Setting::Pace => config.pace.0,
            Setting::EgressPerUserDay => config.egress_per_user_day.0,
            Setting::EgressPerAddressDay => config.egress_per_address_day.0,
        }
    }

    /// A value as an operator writes it; `None` (null) gives the setting back to the configuration. The error says what would be
    /// right.
    pub fn read(self, value: &Value) -> Result<Option<u64>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let read = match self.kind() {
            Kind::Count => read_count(value),
            Kind::Size => read_size(value),
            Kind::Pace => read_size(value).and_then(fast_enough),
        };
        read.map(Some)
    }

    /// For people.
    pub fn text(self, value: u64) -> String {
        if self.is_size() {
            ByteSize(value).to_string()
        } else {
            value.to_string()
        }
    }
}

fn read_count(value: &Value) -> Result<u64, String> {
    match value.as_u64() {
        Some(0) => Err("must be at least 1".to_owned()),
        Some(count) if count <= MAX_COUNT => Ok(count),
        Some(_) => Err(format!("is too large; at most {MAX_COUNT}")),
        None => Err(format!(
            "`{value}` is not a whole number; null gives the setting back to the configuration"
        )),
    }
}

fn read_size(value: &Value) -> Result<u64, String> {
    let size = match value {
        Value::String(text) => text.parse::<ByteSize>()?.0,
        _ => value.as_u64().ok_or_else(|| {
            format!("`{value}` is not a size; write \"2 GiB\" or a number of bytes, 0 for no limit, null to give it back to the configuration")
        })?,
    };
    if size > MAX_SIZE {
        return Err(format!("is too large; at most {MAX_SIZE} bytes"));
    }
    Ok(size)
}

fn fast_enough(pace: u64) -> Result<u64, String> {
    if (1..MIN_PACE).contains(&pace) {
        return Err(format!(
            "is too slow; at least {} each second, or 0 for no limit",
            ByteSize(MIN_PACE)
        ));
    }
    Ok(pace)
}

/// A value for each setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values(BTreeMap<Setting, u64>);

impl Values {
    pub fn of(config: &StreamConfig) -> Self {
        let all = Setting::ALL.into_iter();
        Self(all.map(|setting| (setting, setting.configured(config))).collect())
    }

    pub fn get(&self, setting: Setting) -> u64 {
        self.0[&setting]
    }

    /// A count as the limiters take it.
    pub fn count(&self, setting: Setting) -> usize {
        usize::try_from(self.get(setting)).unwrap_or(usize::MAX)
    }

    /// A count of 32 bits.
    pub fn small(&self, setting: Setting) -> u32 {
        u32::try_from(self.get(setting)).unwrap_or(u32::MAX)
    }
}

/// What an operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub value: u64,
    pub at: Timestamp,
    /// The operator's id.
    pub user: String,
    pub username: String,
}

pub type Overrides = BTreeMap<Setting, Override>;

/// Clones share the settings.
#[derive(Clone)]
pub struct Settings(Arc<Mutex<Inner>>);

struct Inner {
    configured: Values,
    overrides: Overrides,
    /// Counts what operators changed here.
    changed: u64,
}

/// A setting whose value in force is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub setting: Setting,
    pub before: u64,
    pub now: u64,
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    pub setting: Setting,
    pub value: u64,
    pub configured: u64,
    pub set: Option<Override>,
}

impl Settings {
    pub fn new(configured: Values) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            configured,
            overrides: Overrides::new(),
            changed: 0,
        })))
    }

    /// The configuration was read again. `apply` gets the values in force while nobody else can change them.
    pub fn configure(&self, configured: Values, apply: impl FnOnce(&Values)) -> Vec<Change> {
        self.change(|inner| inner.configured = configured, apply)
    }

    /// An operator's call has made this of the overrides.
    pub fn take_over(&self, overrides: Overrides, apply: impl FnOnce(&Values)) -> Vec<Change> {
        let change = |inner: &mut Inner| {
            inner.overrides = overrides;
            inner.changed += 1;
        };
        self.change(change, apply)
    }

    /// How often operators have changed something here: to be given to [`Settings::heard`].
    pub fn changed(&self) -> u64 {
        self.lock().changed
    }

    /// This is what the database said when it was asked after `changed`; nothing if an operator's call came between, whose answer
    /// is newer.
    pub fn heard(&self, changed: u64, overrides: Overrides, apply: impl FnOnce(&Values)) -> Vec<Change> {
        let change = |inner: &mut Inner| {
            if inner.changed == changed {
                inner.overrides = overrides;
            }
        };
        self.change(change, apply)
    }

    fn change(&self, change: impl FnOnce(&mut Inner), apply: impl FnOnce(&Values)) -> Vec<Change> {
        let mut inner = self.lock();
        let before = inner.values();
        change(&mut inner);
        let now = inner.values();
        let changed = |setting: &Setting| before.get(*setting) != now.get(*setting);
        let changes: Vec<Change> = Setting::ALL
            .into_iter()
            .filter(changed)
            .map(|setting| Change {
                setting,
                before: before.get(setting),
                now: now.get(setting),
            })
            .collect();
        if !changes.is_empty() {
            apply(&now);
        }
        changes
    }

    pub fn in_force(&self) -> Vec<InForce> {
        let inner = self.lock();
        let values = inner.values();
        let one = |setting: Setting| InForce {
            setting,
            value: values.get(setting),
            configured: inner.configured.get(setting),
            set: inner.overrides.get(&setting).cloned(),
        };
        Setting::ALL.into_iter().map(one).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn values(&self) -> Values {
        let mut values = self.configured.clone();
        let set = self.overrides.iter().map(|(setting, set)| (*setting, set.value));
        values.0.extend(set);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: u64) -> Override {
        Override {
            value,
            at: Timestamp(1),
            user: "u".to_owned(),
            username: "ann".to_owned(),
        }
    }

    #[test]
    fn what_operators_set_goes_before_the_configuration_until_it_is_given_back() {
        let mut config = StreamConfig::default();
        let settings = Settings::new(Values::of(&config));
        let mut in_force = None;
        let changes = settings.take_over([(Setting::Rate, set(9))].into(), |values| {
            in_force = Some(values.get(Setting::Rate));
        });
        let change = |before, now| Change {
            setting: Setting::Rate,
            before,
            now,
        };
        assert_eq!((changes, in_force), (vec![change(50, 9)], Some(9)));
        // The configuration changes below it, and another setting of it.
        (config.rate, config.pace) = (70, ByteSize(5));
        let changes = settings.configure(Values::of(&config), |_| {});
        assert_eq!(
            changes.iter().map(|change| change.setting).collect::<Vec<_>>(),
            [Setting::Pace]
        );
        let rate = &settings.in_force()[0];
        assert_eq!((rate.value, rate.configured, rate.set.is_some()), (9, 70, true));
        assert_eq!(settings.take_over(Overrides::new(), |_| {}), [change(9, 70)]);
        assert!(
            settings
                .take_over(Overrides::new(), |_| panic!("nothing changed"))
                .is_empty()
        );
        // What was asked before an operator's call does not undo it for a while.
        let asked = settings.changed();
        settings.take_over([(Setting::Rate, set(5))].into(), |_| {});
        assert!(settings.heard(asked, Overrides::new(), |_| {}).is_empty());
        assert_eq!(
            settings.heard(settings.changed(), Overrides::new(), |_| {}),
            [change(5, 70)]
        );
    }

    #[test]
    fn values_are_read_as_the_configuration_reads_them() {
        let check = |setting: Setting, value: Value, expected: Result<Option<u64>, &str>| {
            let read = setting.read(&value);
            match expected {
                Ok(expected) => assert_eq!(read, Ok(expected), "{value}"),
                Err(words) => assert!(
                    read.as_ref().is_err_and(|error| error.contains(words)),
                    "{value}: {read:?}"
                ),
            }
        };
        let (count, size) = (Setting::MaxStreams, Setting::EgressPerUserDay);
        check(count, json!(7), Ok(Some(7)));
        check(count, json!(null), Ok(None));
        check(count, json!(0), Err("at least 1"));
        check(count, json!(u64::from(u32::MAX) + 1), Err("too large"));
        for wrong in [json!(-1), json!(1.5), json!("7"), json!(true), json!([7]), json!({})] {
            check(count, wrong, Err("not a whole number"));
        }
        check(size, json!("2 GiB"), Ok(Some(2 << 30)));
        check(size, json!(1000), Ok(Some(1000)));
        check(size, json!("0"), Ok(Some(0)));
        check(size, json!(0), Ok(Some(0)));
        check(size, json!("2"), Err("is not a size"));
        check(size, json!(-5), Err("is not a size"));
        check(size, json!(u64::MAX), Err("too large"));
        check(Setting::Pace, json!(0), Ok(Some(0)));
        check(Setting::Pace, json!("16 KiB"), Ok(Some(16 << 10)));
        check(Setting::Pace, json!(1), Err("too slow; at least 16 KiB"));
        check(Setting::Pace, json!((16 << 10) - 1), Err("too slow"));
        check(Setting::Pace, json!(u64::MAX), Err("too large"));
    }

    #[test]
    fn every_setting_has_a_name_a_key_and_its_default() {
        let example = common::config::Config::example();
        let values = Values::of(&StreamConfig::default());
        for setting in Setting::ALL {
            assert_eq!(Setting::named(setting.name()), Some(setting));
            let key = setting.key().strip_prefix("stream.").unwrap();
            let line = if setting.is_size() {
                format!("\n{key} = \"{}\"\n", setting.text(values.get(setting)))
            } else {
                format!("\n{key} = {}\n", values.get(setting))
            };
            assert!(example.contains(&line), "{line}");
        }
    }
}
