// What people say under a video.
import type { Entry } from "@sluice/gateway";
import { useEffect, useRef, useState } from "preact/hooks";
import { deleteComment, listComments, postComment } from "../api";
import { moment, relative } from "../format";
import { language, useText } from "../language";
import { LiveComments } from "../live_comments";
import { useAction, usePages } from "../loading";
import { person } from "../person";
import { place } from "../place";
import { pathOf } from "../router";
import { useStore } from "../store";
import { threadsOf, type Thread } from "../threads";
import { say } from "../toasts";
import type { Comment, Video } from "../types";
import { CommentForm } from "./comment_form";
import { ConfirmDialog } from "./dialog";
import { Loading } from "./empty";
import { ProblemBox } from "./problem_box";

interface CommentsProps {
  video: Video;
  /** Hands on what is said in the room from now on; returns the way to stop. */
  listen: (listener: (entry: Entry) => void) => () => void;
}

export function Comments({ video, listen }: CommentsProps) {
  const t = useText();
  const me = useStore(person);
  const pages = usePages((cursor, signal) => listComments(video.id, cursor, signal), video.id);
  const { items, delta, heard, add, remove } = useLiveComments(video, pages.items, listen);
  const [doomed, setDoomed] = useState<Comment>();

  const post = async (text: string, parentId?: string) => {
    add(await postComment(video.id, text, parentId));
    say(t.comments.posted);
  };

  const removal = useAction(async (comment: Comment) => {
    await deleteComment(comment.id);
    const hadReplies = items.some((item) => item.parentId === comment.id);
    remove(comment.id);
    if (hadReplies) pages.reload(); // what becomes of the replies is the server's to say
    setDoomed(undefined);
    say(t.comments.deleted);
  });

  const threads = threadsOf(items);
  return (
    <section class="comments" aria-labelledby="comments-title">
      <h2 id="comments-title" data-testid="comment-count">{t.comments.title(Math.max(video.commentCount + delta, 0))}</h2>
      {me ? (
        <CommentForm label={t.comments.add} onPost={(text) => post(text)} testid="comment" />
      ) : (
        <p><a class="button" href={pathOf({ page: "signin", next: pathOf(place.value) })}>{t.comments.signIn}</a></p>
      )}
      <p class="visually-hidden" aria-live="polite" data-testid="comment-heard">{heard && t.comments.heard(nameOf(heard), heard.text)}</p>
      <ul class="comment-list" data-testid="comment-list">
        {threads.map((thread) => (
          <ThreadView key={thread.root.id} thread={thread} video={video} onReply={post} onDelete={setDoomed} />
        ))}
      </ul>
      {pages.begun && threads.length === 0 && <p class="quiet">{t.comments.none}</p>}
      {pages.busy && !pages.begun && <Loading />}
      <ProblemBox problem={pages.problem} onRetry={pages.more} testid="comments-problem" />
      {pages.hasMore && (
        <button type="button" class="button" disabled={pages.busy} onClick={pages.more} data-testid="comments-more">{t.site.more}</button>
      )}
      {doomed && (
        <ConfirmDialog
          title={t.comments.confirm}
          text={t.comments.confirmText}
          confirm={t.comments.delete}
          busy={removal.busy}
          problem={removal.problem}
          onConfirm={() => void removal.run(doomed)}
          onClose={() => {
            removal.clear();
            setDoomed(undefined);
          }}
          testid="comment-dialog"
        />
      )}
    </section>
  );
}

/** The list as it is now: what was loaded, what this page did, and what the room says. */
function useLiveComments(video: Video, loaded: readonly Comment[], listen: CommentsProps["listen"]) {
  const changes = useRef(new LiveComments());
  const [, setRound] = useState(0);
  const draw = () => setRound((before) => before + 1);
  const add = (comment: Comment) => changes.current.add(comment) && draw();
  const remove = (id: string) => changes.current.remove(id) && draw();

  const counted = useRef(video.commentCount);
  if (counted.current !== video.commentCount) {
    changes.current.recounted(video.commentCount - counted.current);
    counted.current = video.commentCount;
  }

  useEffect(
    () =>
      listen((entry) => {
        if (entry.kind === "comment" && entry.data) {
          if (entry.data.author.username !== person.value?.username) changes.current.hear(entry.data); // what one wrote oneself needs no reading out
          add(entry.data);
        } else if (entry.kind === "revoked" && entry.data.kind === "comment") {
          remove(entry.data.id);
        }
      }),
    [listen],
  );
  return { items: changes.current.merged(loaded), delta: changes.current.delta, heard: changes.current.heard, add, remove };
}

interface ThreadProps {
  thread: Thread;
  video: Video;
  onReply: (text: string, parentId: string) => Promise<void>;
  onDelete: (comment: Comment) => void;
}

function ThreadView({ thread, video, onReply, onDelete }: ThreadProps) {
  const t = useText();
  const me = useStore(person);
  const [replying, setReplying] = useState(false);
  const { root, replies, orphan } = thread;
  return (
    <li data-testid="comment" data-comment-id={root.id}>
      {orphan && <p class="quiet small">{t.comments.orphan}</p>}
      <CommentView comment={root} video={video} onDelete={onDelete} onReply={me && !orphan ? () => setReplying(!replying) : undefined} />
      {(replies.length > 0 || replying) && (
        <div class="replies">
          <ul class="comment-list">
            {replies.map((reply) => (
              <li key={reply.id} data-testid="reply" data-comment-id={reply.id}>
                <CommentView comment={reply} video={video} onDelete={onDelete} />
              </li>
            ))}
          </ul>
          {replying && (
            <CommentForm
              label={t.comments.replyTo(nameOf(root))}
              onPost={async (text) => {
                await onReply(text, root.id);
                setReplying(false);
              }}
              onCancel={() => setReplying(false)}
              testid="reply"
            />
          )}
        </div>
      )}
    </li>
  );
}

interface CommentProps {
  comment: Comment;
  video: Video;
  onDelete: (comment: Comment) => void;
  onReply?: (() => void) | undefined;
}

function CommentView({ comment, video, onDelete, onReply }: CommentProps) {
  const t = useText();
  const me = useStore(person);
  const mine = me && (me.username === comment.author.username || me.username === video.author.username);
  return (
    <article class="comment">
      <header>
        <strong class="user-text">{nameOf(comment)}</strong>
        <time class="quiet small" dateTime={comment.createdAt} title={moment(comment.createdAt, language.value)}>
          {relative(comment.createdAt, Date.now(), language.value)}
        </time>
      </header>
      <p class="user-text" data-testid="comment-text">{comment.text}</p>
      {(onReply || mine) && (
        <div class="comment-actions">
          {onReply && <button type="button" class="link" onClick={onReply} data-testid="comment-reply">{t.comments.reply}</button>}
          {mine && (
            <button type="button" class="link" onClick={() => onDelete(comment)} aria-label={t.comments.deleteOf(nameOf(comment))} data-testid="comment-delete">
              {t.comments.delete}
            </button>
          )}
        </div>
      )}
    </article>
  );
}

const nameOf = (comment: Comment): string => comment.author.displayName || comment.author.username;
