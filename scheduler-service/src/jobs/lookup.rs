//! One video or its media, out of the lists that the services give: the list that begins right before its id.

use common::clients::ClientError;
use common::ids::VideoId;
use common::messages::VideoRecord;

use super::Context;

/// A video as api-service knows it now.
pub(super) async fn video(context: &Context, id: &VideoId) -> Result<Option<VideoRecord>, ClientError> {
    let page = context.clients.api.videos(before(id).as_ref(), 1).await?;
    Ok(page.items.into_iter().find(|record| record.id == *id))
}

/// Whether stream-service has whole media of a video now.
pub(super) async fn is_live(context: &Context, id: &VideoId) -> Result<bool, ClientError> {
    let page = context.clients.stream.media(before(id).as_ref(), 1).await?;
    Ok(page.items.iter().any(|record| record.id == *id && record.live))
}

/// The id right before `video`, so that `after=` begins with `video`; none before the first.
fn before(video: &VideoId) -> Option<VideoId> {
    const DIGITS: &[u8] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut text = video.as_str().as_bytes().to_vec();
    for byte in text.iter_mut().rev() {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        if digit > 0 {
            *byte = DIGITS[digit - 1];
            return String::from_utf8(text).ok()?.parse().ok();
        }
        *byte = DIGITS[DIGITS.len() - 1];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_before() {
        let check = |video: &str, expected: Option<&str>| {
            let found = before(&video.parse().unwrap());
            assert_eq!(found.as_ref().map(VideoId::as_str), expected);
        };
        check("0000000000v1", Some("0000000000v0"));
        check("0000000000v0", Some("0000000000tz"));
        check("100000000000", Some("0zzzzzzzzzzz"));
        check("00000000000j", Some("00000000000h"));
        check("000000000000", None);
    }
}
