// A video in a grid.
import { duration, relative } from "../format";
import { language, useText } from "../language";
import { home, pathOf } from "../router";
import type { Video } from "../types";
import { Picture } from "./art";

export function VideoCard({ video }: { video: Video }) {
  const t = useText();
  return (
    <li class="card" data-testid="video-card" data-video-id={video.id}>
      <a class="card-link" href={pathOf({ page: "watch", id: video.id })}>
        <span class="thumb">
          <Picture id={video.id} />
          <span class="thumb-play" aria-hidden="true" />
          {video.durationMs !== null && <span class="badge">{duration(video.durationMs)}</span>}
        </span>
        <span class="card-title user-text" data-testid="video-card-title">{video.title}</span>
      </a>
      <p class="card-meta">
        <a href={pathOf(home({ author: video.author.username }))} class="user-text">{video.author.displayName || video.author.username}</a>
        <span>{relative(video.readyAt ?? video.createdAt, Date.now(), language.value)}</span>
        {video.commentCount > 0 && <span>{t.comments.title(video.commentCount)}</span>}
      </p>
    </li>
  );
}
