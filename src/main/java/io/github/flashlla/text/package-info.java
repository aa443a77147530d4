/** How numbers, foreign text and tables are written for people. */
package io.github.flashlla.text;
