//! One limit: its names, and what its values may be.

use common::config::{ByteSize, MIN_PACE, StreamConfig};
use serde_json::Value;

/// A limit that can be changed while the service runs.
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

    pub(super) fn configured(self, config: &StreamConfig) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::{super::Values, *};
    use serde_json::json;

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
