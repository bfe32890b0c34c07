//! Unmasking by words is unmasking by bytes.

use crate::gateway::frame::masking::unmask;

#[test]
fn every_length_cut_at_every_place() {
    let key = [0x37, 0xFA, 0x21, 0x3D];
    for len in 0..80 {
        let payload: Vec<u8> = (0..len as u8).collect();
        let expected: Vec<u8> = payload
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ key[at % 4])
            .collect();
        for cut in 0..=len {
            let mut bytes = payload.clone();
            let mut turning = key;
            let (one, other) = bytes.split_at_mut(cut);
            unmask(one, &mut turning);
            unmask(other, &mut turning);
            assert_eq!(bytes, expected, "{len} bytes cut at {cut}");
        }
    }
}
