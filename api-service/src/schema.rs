//! The tables, as `migrations/` makes them.

diesel::table! {
    users (id) {
        id -> Text,
        username -> Text,
        display_name -> Text,
        bio -> Text,
        language -> Text,
        role -> Text,
        password_hash -> Text,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        token_hash -> Binary,
        platform -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    videos (id) {
        id -> Text,
        owner_id -> Text,
        title -> Text,
        title_key -> Text,
        description -> Text,
        search_text -> Text,
        visibility -> Text,
        state -> Text,
        trashed_from -> Nullable<Text>,
        failure -> Nullable<Text>,
        size_bytes -> Nullable<BigInt>,
        sha256 -> Nullable<Text>,
        mime -> Nullable<Text>,
        duration_ms -> Nullable<BigInt>,
        width -> Nullable<BigInt>,
        height -> Nullable<BigInt>,
        codecs -> Text,
        created_at -> BigInt,
        ready_at -> BigInt,
        upload_until -> BigInt,
        purge_at -> Nullable<BigInt>,
        version -> BigInt,
        grant_version -> BigInt,
        comment_count -> BigInt,
        room_seq -> BigInt,
        danmaku_count -> BigInt,
    }
}

diesel::table! {
    deletions (video_id) {
        video_id -> Text,
        owner_id -> Text,
        state -> Text,
        purge_at -> BigInt,
        objects -> Nullable<BigInt>,
        bytes -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    comments (id) {
        id -> Text,
        video_id -> Text,
        author_id -> Text,
        parent_id -> Nullable<Text>,
        text -> Text,
        created_at -> BigInt,
        room_seq -> BigInt,
    }
}

diesel::table! {
    danmaku (id) {
        id -> Text,
        video_id -> Text,
        author_id -> Text,
        room_seq -> BigInt,
        at_ms -> BigInt,
        mode -> Text,
        color -> Text,
        text -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    room_log (video_id, seq) {
        video_id -> Text,
        seq -> BigInt,
        kind -> Text,
        ref_id -> Nullable<Text>,
        author_id -> Nullable<Text>,
        operation_id -> Text,
        created_at -> BigInt,
        payload -> Nullable<Text>,
    }
}

diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(videos -> users (owner_id));
diesel::joinable!(comments -> users (author_id));
diesel::joinable!(danmaku -> users (author_id));
diesel::joinable!(room_log -> users (author_id));
diesel::allow_tables_to_appear_in_same_query!(users, sessions, videos, deletions, comments, danmaku, room_log);
