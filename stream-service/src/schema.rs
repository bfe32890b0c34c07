//! The tables as the query language knows them; the migrations are the record.

diesel::table! {
    objects (object_id) {
        object_id -> Text,
        video_id -> Text,
        kind -> Text,
        state -> Text,
        size_bytes -> BigInt,
        sha256 -> Text,
        mime -> Text,
        media -> Text,
        user_id -> Nullable<Text>,
        session_id -> Text,
        owner -> Text,
        heartbeat_at -> BigInt,
        removed_bytes -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        tried_at -> BigInt,
        scrub_place -> BigInt,
        scrub_state -> Text,
        damage -> Text,
    }
}

diesel::table! {
    media (video_id) {
        video_id -> Text,
        hidden -> Bool,
        version -> BigInt,
        min_grant -> BigInt,
    }
}

diesel::table! {
    tombstones (video_id) {
        video_id -> Text,
        objects -> BigInt,
        bytes -> BigInt,
        begun_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    tus_uploads (object_id) {
        object_id -> Text,
        video_id -> Text,
        length -> Nullable<BigInt>,
        acknowledged -> BigInt,
        metadata -> Text,
        concat -> Text,
        holder -> Text,
        expires_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        complete -> Bool,
        store_state -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(objects, tus_uploads);
