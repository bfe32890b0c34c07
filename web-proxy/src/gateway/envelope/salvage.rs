//! What can still be read of a frame that is refused, so that the client finds the call that its answer belongs to.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::DataForm;

/// Members read before the frame became unreadable. Of a member that stands twice the first counts.
#[derive(Default)]
pub struct Salvage {
    pub function: Option<String>,
    pub operation: Option<String>,
    pub form: Option<DataForm>,
}

impl Salvage {
    pub fn of(text: &str) -> Salvage {
        let mut found = Salvage::default();
        let mut json = serde_json::Deserializer::from_str(text);
        // How it ends was told already; what was found until then counts.
        drop(Reader(&mut found).deserialize(&mut json));
        found
    }

    fn take(&mut self, name: &str, value: &RawValue) {
        let text = || serde_json::from_str::<String>(value.get()).ok();
        match name {
            "reqFuncName" if self.function.is_none() => self.function = text(),
            "operationID" if self.operation.is_none() => self.operation = text(),
            "data" if self.form.is_none() => {
                let is_text = value.get().starts_with('"');
                self.form = Some(if is_text { DataForm::Text } else { DataForm::Object });
            }
            _ => {}
        }
    }
}

struct Reader<'a>(&'a mut Salvage);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if matches!(&*name, "reqFuncName" | "operationID" | "data") {
                self.0.take(&name, map.next_value::<&RawValue>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
