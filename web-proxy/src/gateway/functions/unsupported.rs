//! Functions of the OpenIM server that mean nothing on a video platform. A client that was written for it and calls one
//! is told so (1005), and not that it has mistyped a name (1001).

/// The names that npm's `open-im-sdk` 2.3.0 calls (its `RequestFunc`), and the server's own about work moments, without
/// those that are functions here; sorted.
#[rustfmt::skip]
const NAMES: [&str; 116] = [
    "AcceptFriendApplication", "AcceptGroupApplication", "AddBlack", "AddFriend", "ChangeGroupMemberMute",
    "ChangeGroupMute", "CheckFriend", "ClearC2CHistoryMessage", "ClearC2CHistoryMessageFromLocalAndSvr",
    "ClearGroupHistoryMessage", "ClearGroupHistoryMessageFromLocalAndSvr", "ClearWorkMomentsNotification",
    "CreateAdvancedQuoteMessage", "CreateAdvancedTextMessage", "CreateCardMessage", "CreateCustomMessage",
    "CreateFaceMessage", "CreateFileMessageByURL", "CreateFileMessageFromFullPath", "CreateForwardMessage",
    "CreateGroup", "CreateImageMessageByURL", "CreateImageMessageFromFullPath", "CreateLocationMessage",
    "CreateMergerMessage", "CreateQuoteMessage", "CreateSoundMessageByURL", "CreateSoundMessageFromFullPath",
    "CreateTextAtMessage", "CreateTextMessage", "CreateVideoMessageByURL", "CreateVideoMessageFromFullPath",
    "DeleteAllConversationFromLocal", "DeleteAllMsgFromLocal", "DeleteAllMsgFromLocalAndSvr", "DeleteConversation",
    "DeleteConversationFromLocalAndSvr", "DeleteFriend", "DeleteMessageFromLocalAndSvr",
    "DeleteMessageFromLocalStorage", "DismissGroup", "FindMessageList", "GetAdvancedHistoryMessageList",
    "GetAllConversationList", "GetBlackList", "GetConversationIDBySessionType", "GetConversationListSplit",
    "GetConversationRecvMessageOpt", "GetDepartmentInfo", "GetDepartmentMember",
    "GetDepartmentMemberAndSubDepartment", "GetDesignatedFriendsInfo", "GetFriendList", "GetGroupMemberList",
    "GetGroupMemberListByJoinTimeFilter", "GetGroupMembersInfo", "GetGroupsInfo", "GetHistoryMessageList",
    "GetHistoryMessageListReverse", "GetJoinedGroupList", "GetMultipleConversation", "GetOneConversation",
    "GetRecvFriendApplicationList", "GetRecvGroupApplicationList", "GetSendFriendApplicationList",
    "GetSendGroupApplicationList", "GetSubDepartment", "GetTotalUnreadMsgCount", "GetUserInDepartment",
    "GetWorkMomentsNotification", "GetWorkMomentsUnReadCount", "InitSDK", "InsertGroupMessageToLocalStorage",
    "InsertSingleMessageToLocalStorage", "InviteUserToGroup", "JoinGroup", "KickGroupMember", "MarkC2CMessageAsRead",
    "MarkGroupMessageAsRead", "MarkGroupMessageHasRead", "MarkMessageAsReadByConID", "MarkSingleMessageHasRead",
    "NewRevokeMessage", "PinConversation", "QuitGroup", "RefuseFriendApplication", "RefuseGroupApplication",
    "RemoveBlack", "ResetConversationGroupAtType", "RevokeMessage", "SearchFriends", "SearchGroupMembers",
    "SearchGroups", "SearchLocalMessages", "SearchOrganization", "SendMessage", "SendMessageNotOss",
    "SetConversationDraft", "SetConversationRecvMessageOpt", "SetFriendRemark", "SetGlobalRecvMessageOpt",
    "SetGroupApplyMemberFriend", "SetGroupInfo", "SetGroupLookMemberInfo", "SetGroupMemberNickname",
    "SetGroupMemberRoleLevel", "SetGroupVerification", "SetOneConversationPrivateChat", "SignalingAccept",
    "SignalingCancel", "SignalingHungUp", "SignalingInvite", "SignalingInviteInGroup", "SignalingReject",
    "TransferGroupOwner", "TypingStatusUpdate",
];

pub fn is_of_openim(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}
