//! The platforms of OpenIM, by their numbers.

/// What kind of device a socket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Platform {
    Ios = 1,
    Android = 2,
    Windows = 3,
    Osx = 4,
    Web = 5,
    MiniWeb = 6,
    Linux = 7,
    AndroidPad = 8,
    Ipad = 9,
}

impl Platform {
    const ALL: [Platform; 9] = [
        Platform::Ios,
        Platform::Android,
        Platform::Windows,
        Platform::Osx,
        Platform::Web,
        Platform::MiniWeb,
        Platform::Linux,
        Platform::AndroidPad,
        Platform::Ipad,
    ];

    /// `1` to `9`, in decimal and nothing else.
    pub fn parse(text: &str) -> Option<Platform> {
        let number: u8 = match text.as_bytes() {
            [digit @ b'1'..=b'9'] => digit - b'0',
            _ => return None,
        };
        Platform::ALL.into_iter().find(|platform| platform.number() == number)
    }

    pub const fn number(self) -> u8 {
        self as u8
    }
}
