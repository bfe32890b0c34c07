//! The limits that can be changed while the service runs, and where each value comes from: the configuration, or an operator who
//! set it since. What an operator sets goes before the configuration, in every copy of the service, until it is given back.

mod setting;

use common::{config::StreamConfig, time::Timestamp};
pub use setting::Setting;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
    use common::config::ByteSize;

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
}
