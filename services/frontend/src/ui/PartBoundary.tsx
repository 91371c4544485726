import { Component, type ReactNode } from 'react';
import styles from './PartBoundary.module.css';

/** Keeps the rest of the page when a part of it can't be loaded or breaks, and offers the way out. */
export class PartBoundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override render() {
    if (!this.state.isBroken) return this.props.children;
    return (
      <div role="alert" className={styles.broken}>
        <p>A part of this page could not be loaded.</p>
        <button type="button" className="quiet" onClick={() => window.location.reload()}>
          Reload the page
        </button>
      </div>
    );
  }
}
